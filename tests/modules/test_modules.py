"""Networks: the batched forms against loops of plain torch, and every option turns something."""

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import nn
from torch.nn import functional as F
from torchrl.envs.utils import ExplorationType, set_exploration_type
from torchrl.modules import ProbabilisticActor

from ilvf.modules import (
    AgentLinear,
    AgentMLP,
    CategoricalActor,
    GumbelAttention,
    InfluenceCritic,
    StateCritic,
    ValueNorm,
    gumbel_sigmoid,
)
from ilvf.modules.first_layers import OwnFirst, SharedFirst, centred, joint_action, weighted_concat

N, D, A, B, H = 5, 6, 4, 7, 16


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def plain(net: AgentMLP, i: int) -> nn.Sequential:
    """Agent i's network as ordinary layers, with the same numbers."""
    layers: list[nn.Module] = []
    for layer in [net.first, *net.middle, net.head]:
        linear = nn.Linear(*layer.weight.shape[1:])
        linear.weight.data = layer.weight[i if len(layer.weight) > 1 else 0].T.detach().clone()
        linear.bias.data = layer.bias[i, 0].detach().clone()
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@pytest.mark.parametrize("share", [False, True])
def test_agent_mlp_is_a_loop_over_agents(share):
    net = AgentMLP(N, D, 3, hidden=H, depth=2, share=share)
    for p in net.parameters():
        p.data.normal_()
    x = torch.randn(N, B, D)
    expected = torch.stack([plain(net, i)(x[i]) for i in range(N)])
    assert torch.allclose(net(x), expected, atol=1e-4)
    joint = torch.stack([plain(net, i)(x[0]) for i in range(N)])
    assert torch.allclose(net(x[0]), joint, atol=1e-4)  # [B, F]: all agents read the same rows


def test_sharing_means_one_weight_and_an_identity_per_agent():
    shared, own = AgentLinear(N, D, H, share=True), AgentLinear(N, D, H)
    assert shared.weight.shape == (1, D, H)
    assert own.weight.shape == (N, D, H)
    shared.bias.data.normal_()
    y = shared(torch.randn(B, D))
    assert torch.allclose(y[1] - y[0], (shared.bias[1] - shared.bias[0]).expand(B, H), atol=1e-5)


def test_initialisation_is_orthogonal_with_its_gain():
    layer = AgentLinear(N, H, H)
    gram = layer.weight[2].T @ layer.weight[2]
    assert torch.allclose(gram, 2 * torch.eye(H), atol=1e-4)  # gain √2
    actor = CategoricalActor(N, D, A, hidden=H, gain=0.01)
    head = actor.net.head.weight[1]
    assert torch.allclose(head.T @ head, 1e-4 * torch.eye(A), atol=1e-7)


def test_weighted_concat_is_layer_norm_of_the_weighted_states():
    state, weight = torch.randn(B, N, D), torch.rand(B, N, N)
    layer = AgentLinear(N, N * D, H)
    found = layer.apply_to(weighted_concat(state, weight).transpose(0, 1), centred(layer.weight))
    for i in range(N):
        x = (
            (weight[:, i, :, None] * state).transpose(1, 2).flatten(1)
        )  # concat_j w_ij s_j, feature by feature
        expected = F.layer_norm(x, (N * D,)) @ layer.weight[i] + layer.bias[i]
        assert torch.allclose(found[i], expected, atol=1e-4)


def test_large_teams_are_done_piece_by_piece(monkeypatch):
    first, state, weight = OwnFirst(N, D, A, H), torch.randn(B, N, D), torch.rand(B, N, N)
    whole = first.value(state, weight)
    monkeypatch.setattr("ilvf.modules.first_layers.CHUNK", 2 * N * N * D)  # two states at a time
    assert torch.allclose(first.value(state, weight), whole, atol=1e-6)


def test_weighted_concat_of_zeros_is_finite():
    state = torch.zeros(2, N, D)
    weight = torch.rand(2, N, N, requires_grad=True)
    weighted_concat(state, weight).sum().backward()
    assert torch.isfinite(weight.grad).all()


def test_v_reads_every_state_through_its_own_weight():
    """With w_ij = 0 the state of j cannot move V_i, and with w_ij = 1 it can."""
    critic = InfluenceCritic(N, D, A, hidden=H)
    state = torch.randn(1, N, D)
    moved = state.clone()
    moved[:, 3] += 1.0
    weight = torch.ones(1, N, N)
    weight[0, 1, 3] = 0.0
    change = (
        (critic.first.value(moved, weight) - critic.first.value(state, weight)).abs().amax((1, 2))
    )
    assert change[1] < 1e-5
    assert (change[[0, 2, 3, 4]] > 1e-3).all()


def test_q_is_a_weighted_sum_of_states_and_the_joint_action():
    first = OwnFirst(N, D, A, H)
    state, weight, action = torch.randn(B, N, D), torch.rand(B, N, N), torch.randint(A, (B, N))
    found = first.action_value(state, weight, joint_action(action, state, A))
    for i in range(N):
        mixed = F.layer_norm(sum(weight[:, i, j, None] * state[:, j] for j in range(N)), (D,))
        acted = F.one_hot(action, A).flatten(1).float()
        expected = (
            mixed @ first.of_sum.weight[i]
            + acted @ first.of_action.weight[i]
            + first.of_action.bias[i]
        )
        assert torch.allclose(found[i], expected, atol=1e-5)


def test_shared_first_equals_the_unfactorised_form():
    """The same weights, written out for every critic: concat_j w_ij LN(s_j) against [A_1; ...; A_N], and so on."""
    first = SharedFirst(N, D, A, H)
    for p in first.parameters():
        p.data.normal_()
    state, weight, action = torch.randn(B, N, D), torch.rand(B, N, N), torch.randint(A, (B, N))
    normed, acted = F.layer_norm(state, (D,)), F.one_hot(action, A).float()

    def unfactorised(layer, weighted):  # weighted [B, N, N, F] → Σ_j weighted_ij A_j
        bias = 0 if layer.bias is None else layer.bias[:, 0]
        return torch.einsum("bijf,jfh->ibh", weighted, layer.weight), bias

    prepared = first.prepare(state)
    value, bias = unfactorised(first.of_value, weight[..., None] * normed[:, None])
    value = value + torch.einsum("bij,jh->ibh", weight, bias)
    assert torch.allclose(first.value(prepared, weight), value, atol=1e-4)

    q = unfactorised(first.of_sum, weight[..., None] * normed[:, None])[0]
    more, bias = unfactorised(first.of_action, acted[:, None].expand(B, N, N, A))
    q = q + more + bias.sum(0)
    assert torch.allclose(
        first.action_value(prepared, weight, joint_action(action, state, A)), q, atol=1e-4
    )

    logits, bias = unfactorised(first.of_logits, normed[:, None].expand(B, N, N, D))
    assert torch.allclose(first.logits(prepared), logits[0] + bias.sum(0), atol=1e-4)


def test_actions_may_be_indices_one_hot_or_continuous(refused):
    critic = InfluenceCritic(N, D, A, hidden=H)
    state, action = torch.randn(B, 3, N, D), torch.randint(A, (B, 3, N))
    one_hot = F.one_hot(action, A)
    values = []
    for form in (action, one_hot, one_hot.bool(), one_hot.float()):
        torch.manual_seed(1)
        values.append(critic.predict(state, form)[1])
    assert all(torch.equal(values[0], v) for v in values)
    torch.manual_seed(1)
    assert not torch.allclose(critic.predict(state, torch.randn(B, 3, N, A))[1], values[0])
    for bad in (torch.randn(B, 3, N), torch.randint(A, (B, N)), torch.randn(B, 3, N, A + 1)):
        with refused("action", str(tuple(bad.shape)), f"({B}, 3, {N}, {A})"):
            critic.predict(state, bad)


def test_noise_is_in_q_and_not_in_v():
    critic = InfluenceCritic(N, D, A, hidden=H)
    state, action = torch.randn(B, N, D), torch.randint(A, (B, N))
    (v1, q1), (v2, q2) = critic.predict(state, action), critic.predict(state, action)
    assert torch.equal(v1, v2)
    assert not torch.equal(q1, q2)
    assert torch.allclose(critic(state)[0], v1)


@pytest.mark.parametrize("shared_first", [False, True])
def test_every_head_trains_the_attention(shared_first):
    critic = InfluenceCritic(N, D, A, hidden=H, shared_first=shared_first)
    state, action = torch.randn(B, N, D), torch.randint(A, (B, N))
    for k in (0, 1):
        critic.zero_grad()
        critic.predict(state, action)[k].sum().backward()
        assert critic.attention.logits.head.weight.grad.abs().sum() > 0
    critic.zero_grad()
    sum(x.sum() for x in critic.predict(state, action)).backward()
    assert all(
        p.grad is not None and p.grad.abs().sum() > 0 for p in critic.parameters()
    )  # none is left untrained


def test_batch_axes_do_not_matter():
    critic = InfluenceCritic(N, D, A, hidden=H)
    state = torch.randn(2, 3, N, D)
    value, weight, logits = critic(state)
    assert value.shape == (2, 3, N, 1)
    assert weight.shape == logits.shape == (2, 3, N, N)
    assert torch.allclose(critic(state[1, 2][None])[0][0], value[1, 2], atol=1e-6)


def test_the_influence_weight_is_the_attention_transposed():
    critic = InfluenceCritic(N, D, A, hidden=H)
    critic.attention.logits.head.bias.data.normal_()
    _, weight, logits = critic(torch.randn(B, N, D))
    assert torch.allclose(weight, torch.sigmoid(logits).transpose(1, 2))
    assert not torch.allclose(weight, weight.transpose(1, 2))


@pytest.mark.parametrize(
    ("initial", "on", "off"), [("random", 0.5, 0.5), ("identity", 0.88, 0.12), ("ones", 0.88, 0.88)]
)
def test_initial_influence(initial, on, off):
    """sigmoid(0) = 0.5, sigmoid(2) = 0.88, sigmoid(-2) = 0.12; the states move it by a percent or so."""
    attention = GumbelAttention(N, D, initial=initial)
    weight = attention.weight(attention(torch.randn(100, N, D))).mean(0)
    eye = torch.eye(N, dtype=torch.bool)
    assert weight[eye].mean().item() == pytest.approx(on, abs=0.02)
    assert weight[~eye].mean().item() == pytest.approx(off, abs=0.02)


def test_temperature_sharpens():
    h = torch.tensor([-1.0, 0.5, 2.0])
    cold, warm = gumbel_sigmoid(h.expand(5000, 3), 0.1), gumbel_sigmoid(h.expand(5000, 3), 1.0)
    middling = [((w > 0.1) & (w < 0.9)).float().mean() for w in (cold, warm)]
    assert middling[0] < 0.3 * middling[1]


def test_gumbel_noise_is_gumbel():
    """P(h + g > 0) = 1 - exp(-exp(h)), and the median of g is -log(log 2)."""
    for h in (-1.0, 0.0, 1.0):
        share = (gumbel_sigmoid(torch.full((200_000,), h), 1.0) > 0.5).float().mean().item()
        assert share == pytest.approx(1 - 2.718281828 ** -(2.718281828**h), abs=0.005)


def test_sampling_works_under_vmap():
    draws = torch.vmap(lambda h: gumbel_sigmoid(h, 1.0), randomness="different")(
        torch.zeros(4, 3, 3)
    )
    assert draws.shape == (4, 3, 3)
    assert not torch.equal(draws[0], draws[1])


@pytest.mark.parametrize(
    "option", [dict(depth=3), dict(hidden_norm=True), dict(share=True), dict(activation="tanh")]
)
@pytest.mark.parametrize("critic", [InfluenceCritic, StateCritic])
def test_every_option_turns_something(critic, option):
    sizes = (N, D, A) if critic is InfluenceCritic else (N, D)
    values = []
    for k in ({}, option):
        torch.manual_seed(1)
        net = critic(*sizes, hidden=H, **k)
        values.append(net.predict(torch.randn(B, N, D), torch.randint(A, (B, N)))[0])
    assert not torch.allclose(*values)


def test_bad_arguments(refused):
    with refused("tau=0", "positive"):
        GumbelAttention(N, D, tau=0)
    with refused("initial_influence", "ons", "identity"):
        GumbelAttention(N, D, initial="ons")
    with refused("activation", "rulu", "relu"):
        AgentMLP(N, D, 1, activation="rulu")


class TestActor:
    def observations(self, b=500):
        return TensorDict({"agents": {"observation": torch.randn(b, N, D)}}, [b])

    def test_it_samples_like_torchrls_actor(self):
        """The same net in a ProbabilisticActor: equal log-probabilities, equal frequencies."""
        actor = CategoricalActor(N, D, A, hidden=H, gain=1.0)
        logits = TensorDictModule(
            actor.log_probs, in_keys=[("agents", "observation")], out_keys=[("agents", "logits")]
        )
        theirs = ProbabilisticActor(
            logits,
            in_keys=[("agents", "logits")],
            out_keys=[("agents", "action")],
            distribution_class=torch.distributions.Categorical,
            return_log_prob=True,
        )
        td = self.observations()
        ours = actor(td.clone())
        dist = theirs.get_dist(td.clone())
        expected = dist.log_prob(ours["agents", "action"])
        assert torch.allclose(ours["agents", "action_log_prob"], expected, atol=1e-5)
        assert set(theirs(td.clone())["agents"].keys()) >= {"action", "action_log_prob"}
        one = TensorDict(
            {"agents": {"observation": torch.randn(1, N, D).expand(20_000, N, D)}}, [20_000]
        )
        share = F.one_hot(actor(one)["agents", "action"], A).float().mean(0)
        assert torch.allclose(
            share, actor.log_probs(one["agents", "observation"][:1])[0].exp(), atol=0.02
        )

    def test_deterministic_takes_the_most_likely(self):
        actor, td = CategoricalActor(N, D, A, hidden=H, gain=1.0), self.observations()
        with set_exploration_type(ExplorationType.DETERMINISTIC):
            action = actor(td)["agents", "action"]
        assert torch.equal(action, actor.log_probs(td["agents", "observation"]).argmax(-1))

    def test_impossible_actions_are_never_taken(self):
        actor, td = CategoricalActor(N, D, A, masked=True), self.observations()
        mask = torch.rand(500, N, A) > 0.5
        mask[..., 0] = True
        td["agents", "action_mask"] = mask
        chosen = mask.gather(-1, actor(td)["agents", "action"].unsqueeze(-1))
        assert chosen.all()
        log_prob, entropy = actor.evaluate(td)
        assert torch.isfinite(log_prob).all()
        assert torch.isfinite(entropy).all()
        only_one = mask.sum(-1) == 1
        assert torch.allclose(entropy[only_one], torch.zeros(()), atol=1e-6)


class TestValueNorm:
    def test_moments_of_what_was_seen(self):
        norm = ValueNorm((2, 1), min_variance=0.01)
        x = torch.stack([torch.full((4000,), 5.0), 3 * torch.randn(4000) - 7], 1).unsqueeze(-1)
        norm.update(x)
        mean, std = norm.moments()
        assert mean.flatten().tolist() == pytest.approx([5, -7], abs=0.2)
        assert std.flatten().tolist() == pytest.approx([0.1, 3], abs=0.15)  # the floor is √0.01
        assert torch.allclose(norm.denormalise(norm.normalise(x)), x, atol=1e-4)

    def test_debiased_moving_average(self):
        """β = 0.5, targets 0 then 3: first = (0·0.25 + 3·0.5), weight = 0.75, mean = 2."""
        norm = ValueNorm((1, 1), beta=0.5)
        for v in (0.0, 3.0):
            norm.update(torch.full((10, 1, 1), v))
        assert norm.moments()[0].item() == pytest.approx(2.0)

    def test_large_offsets_keep_their_spread(self):
        norm = ValueNorm((1, 1))
        norm.update(1e5 + torch.randn(20_000, 1, 1, dtype=torch.float64))
        assert norm.moments()[1].item() == pytest.approx(1.0, abs=0.05)


# ---------------------------------------------------------------------- inputs as they are
def _networks(kind):
    from ilvf.modules import CentralCritic, CounterfactualCritic, LocalCritic, RelevanceCritic
    from ilvf.modules.actors.greedy import GreedyActor
    from ilvf.modules.critics.action_influence import ActionInfluenceCritic
    from ilvf.modules.critics.joint import JointCritic
    from ilvf.modules.mixer import Mixer

    n, d, a, options = 3, 4, 5, dict(hidden=8, input_norm=kind)
    action = torch.randint(a, (6, n))
    mixer = Mixer("qmix", n, d, input_norm=kind)
    influence = [
        InfluenceCritic(n, d, a, shared_first=s, initial="ones", **options) for s in (False, True)
    ]
    no_inferring, joint = (
        ActionInfluenceCritic(n, d, a, **options),
        JointCritic(n, d, a, gain=1.0, **options),
    )
    counterfactual, relevance = (
        CounterfactualCritic(n, d, a, **options),
        RelevanceCritic(n, d, a, **options),
    )
    return {
        "actor": CategoricalActor(n, d, a, gain=1.0, **options).log_probs,
        "greedy": GreedyActor(n, d, a, **options).values,
        "state": StateCritic(n, d, **options),
        "shared": StateCritic(n, d, shared_first=True, **options),
        "local": LocalCritic(n, d, **options),
        "central": CentralCritic(n, d, **options),
        "influence, V": lambda s: influence[0](s)[0],
        "influence, w": lambda s: influence[0](s)[1],
        "influence, shared": lambda s: influence[1](s)[0],
        "no inferring, w": lambda s: no_inferring(s)[1],
        "no inferring, V": lambda s: no_inferring(s)[0],
        "counterfactual": lambda s: counterfactual.all_actions(s, action),
        "relevance": lambda s: relevance.relevance(s, action),
        "joint": lambda s: joint(s, torch.zeros(6, n * a)),
        "mixer": lambda s: mixer(torch.ones(6, n, 1), s),
    }


@pytest.mark.parametrize("name", list(_networks("none")))
def test_layer_norm_forgets_the_scale_of_the_inputs_and_none_does_not(name):
    state = torch.randn(6, 3, 4)
    for kind in ("layer", "none"):
        torch.manual_seed(1)
        network = _networks(kind)[name]
        same = torch.allclose(network(state), network(3 * state), atol=1e-3)
        assert same == (kind == "layer"), kind


def test_without_norm_v_reads_the_weighted_states_as_they_are():
    """V_i's first layer on concat_j w_ij s_j, and Q's on Σ_j w_ij s_j, written out."""
    critic = InfluenceCritic(3, 4, 2, hidden=8, input_norm="none")
    state, w = torch.randn(5, 3, 4), torch.rand(5, 3, 3)
    layer = critic.first.of_value
    for i in range(3):
        row = torch.stack([w[:, i, j : j + 1] * state[:, j] for j in range(3)], -1).flatten(
            1
        )  # feature by feature
        expected = row @ layer.weight[i] + layer.bias[i]
        assert torch.allclose(critic.first.value(state, w)[i], expected, atol=1e-5)
