"""Critics: noise, gradients, shapes, and the keys of their modules."""

import pytest
import torch
from tensordict import TensorDict
from torch.nn import functional as F

from ilvf.modules import (
    ActionInfluenceCritic,
    CentralCritic,
    CounterfactualCritic,
    InfluenceCritic,
    LocalCritic,
    RelevanceCritic,
    StateCritic,
)

N = 5  # agents
D = 6  # numbers of a state
A = 4  # actions
B = 7  # rows
H = 16  # hidden units


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


# ---------------------------------------------------------------------- InfluenceCritic
def test_actions_can_be_indices_one_hot_or_continuous(refused):
    critic = InfluenceCritic(N, D, A, hidden=H)
    state = torch.randn(B, 3, N, D)
    action = torch.randint(A, (B, 3, N))
    one_hot = F.one_hot(action, A)

    def action_value(form):
        torch.manual_seed(1)  # the noise is the same in every call
        return critic.predict(state, form)[1]

    expected = action_value(action)
    for form in (one_hot, one_hot.bool(), one_hot.float()):
        assert torch.equal(action_value(form), expected)
    assert not torch.allclose(action_value(torch.randn(B, 3, N, A)), expected)
    for bad in (torch.randn(B, 3, N), torch.randint(A, (B, N)), torch.randn(B, 3, N, A + 1)):
        with refused("action", str(tuple(bad.shape)), f"({B}, 3, {N}, {A})"):
            critic.predict(state, bad)


def test_q_has_noise_and_v_has_none():
    critic = InfluenceCritic(N, D, A, hidden=H)
    state = torch.randn(B, N, D)
    action = torch.randint(A, (B, N))
    first_value, first_action_value = critic.predict(state, action)
    second_value, second_action_value = critic.predict(state, action)
    assert torch.equal(first_value, second_value)
    assert not torch.equal(first_action_value, second_action_value)
    assert torch.allclose(critic(state)[0], first_value)


@pytest.mark.parametrize("shared_first", [False, True])
@pytest.mark.parametrize("head", ["V", "Q"])
def test_the_gradients_of_v_and_of_q_reach_the_attention(shared_first, head):
    critic = InfluenceCritic(N, D, A, hidden=H, shared_first=shared_first)
    value, action_value = critic.predict(torch.randn(B, N, D), torch.randint(A, (B, N)))
    output = value if head == "V" else action_value
    output.sum().backward()
    assert critic.attention.logits.head.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("shared_first", [False, True])
def test_v_and_q_together_train_every_parameter(shared_first):
    critic = InfluenceCritic(N, D, A, hidden=H, shared_first=shared_first)
    value, action_value = critic.predict(torch.randn(B, N, D), torch.randint(A, (B, N)))
    (value.sum() + action_value.sum()).backward()
    for name, p in critic.named_parameters():
        assert p.grad is not None, name
        assert p.grad.abs().sum() > 0, name


def test_batch_axes_do_not_change_the_results():
    critic = InfluenceCritic(N, D, A, hidden=H)
    state = torch.randn(2, 3, N, D)
    value, weight, logits = critic(state)
    assert value.shape == (2, 3, N, 1)
    assert weight.shape == (2, 3, N, N)
    assert logits.shape == (2, 3, N, N)
    alone = critic(state[1, 2][None])[0][0]
    assert torch.allclose(alone, value[1, 2], atol=1e-6)


@pytest.mark.parametrize("make", [InfluenceCritic, ActionInfluenceCritic])
def test_the_influence_weight_is_the_transposed_attention(make):
    critic = make(N, D, A, hidden=H)
    critic.attention.logits.head.bias.data.normal_()
    _, weight, logits = critic(torch.randn(B, N, D))
    assert torch.allclose(weight, torch.sigmoid(logits).transpose(1, 2))
    assert not torch.allclose(weight, weight.transpose(1, 2))


# ---------------------------------------------------------------------- all critics
@pytest.mark.parametrize(
    "critic",
    [
        InfluenceCritic(N, D, A, hidden=H),
        ActionInfluenceCritic(N, D, A, hidden=H),
        RelevanceCritic(N, D, A, hidden=H),
        CounterfactualCritic(N, D, A, hidden=H),
        StateCritic(N, D, hidden=H),
        LocalCritic(N, D, hidden=H),
        CentralCritic(N, D, hidden=H),
    ],
    ids=lambda critic: type(critic).__name__,
)
def test_a_state_of_another_shape_is_refused(critic, refused):
    with refused(f"{N} agents with states of {D} numbers", f"({B}, {N}, {D + 1})"):
        critic.predict(torch.randn(B, N, D + 1), torch.randint(A, (B, N)))


@pytest.mark.parametrize(
    ("critic", "in_key", "out_keys"),
    [
        (
            InfluenceCritic(N, D, A, hidden=H),
            ("g", "state"),
            [("g", "v"), ("g", "influence_weight"), ("g", "attention_logits")],
        ),
        (
            ActionInfluenceCritic(N, D, A, hidden=H),
            ("g", "state"),
            [("g", "v"), ("g", "influence_weight"), ("g", "attention_logits")],
        ),
        (RelevanceCritic(N, D, A, hidden=H), ("g", "state"), [("g", "v")]),
        (StateCritic(N, D, hidden=H), ("g", "state"), [("g", "v")]),
        (LocalCritic(N, D, hidden=H), ("g", "observation"), [("g", "v")]),
        (CentralCritic(N, D, hidden=H), ("g", "state"), ["v"]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, torch.nn.Module) else "",
)
def test_value_modules_read_and_write_the_documented_keys(critic, in_key, out_keys):
    module = critic.value_module(group="g", value_key="v")
    assert module.in_keys == [in_key]
    assert module.out_keys == out_keys
    assert critic.value_module(state_key="x").in_keys == [("agents", "x")]


def test_a_state_dict_has_the_names_that_checkpoints_have():
    critic = InfluenceCritic(N, D, A, hidden=H, depth=2)
    assert list(critic.state_dict()) == [
        "first.of_logits.weight",
        "first.of_logits.bias",
        "first.of_value.weight",
        "first.of_value.bias",
        "first.of_sum.weight",
        "first.of_action.weight",
        "first.of_action.bias",
        "attention.logits.head.weight",
        "attention.logits.head.bias",
        "value.middle.0.weight",
        "value.middle.0.bias",
        "value.head.weight",
        "value.head.bias",
        "action_value.head.weight",
        "action_value.head.bias",
    ]


def test_relevance_reads_actions_of_any_name():
    critic = RelevanceCritic(N, D, A, hidden=H)
    agents = {"state": torch.randn(B, N, D), "act": torch.randint(A, (B, N))}
    td = critic.relevance_module(action_key="act")(TensorDict({"agents": agents}, [B]))
    expected = critic.relevance(agents["state"], agents["act"])
    assert torch.equal(td["agents", "influence_weight"], expected)
