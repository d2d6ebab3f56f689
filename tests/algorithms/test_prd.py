"""PRD: the attention of its critic, and the credit that it gives."""

import functools

import pytest
import torch
from torch.nn import functional as F

from credit_helpers import A, B, D, N, T
from helpers import fit, parameters_of
from ilvf.algorithms import ILVFP
from ilvf.credit import LearnedInfluence, Soft, Threshold
from ilvf.envs import Encircle
from ilvf.modules import CategoricalActor, RelevanceCritic

HIDDEN = 8


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def critic():
    return RelevanceCritic(N, D, A, hidden=HIDDEN)


def test_relevance_is_a_softmax_over_the_other_agents(critic):
    weight = critic.relevance(torch.randn(B, T, N, D), torch.randint(A, (B, T, N)))
    assert weight.shape == (B, T, N, N)
    assert (weight[..., torch.eye(N, dtype=torch.bool)] == 1).all()
    columns = weight.sum(-2)  # 1 of the agent itself and 1 of all others together
    assert torch.allclose(columns, torch.full((B, T, N), 2.0), atol=1e-5)


def test_the_state_of_an_agent_changes_the_column_of_its_return(critic):
    state = torch.randn(B, T, N, D)
    action = torch.randint(A, (B, T, N))
    before = critic.relevance(state, action)
    state[..., 0, :] += torch.randn(D)
    assert not torch.allclose(critic.relevance(state, action)[..., :, 0], before[..., :, 0])


def test_attention_and_action_values_equal_a_loop(critic):
    """α_ij ∝ exp(q(s_i)·k(s_j, a_j)/√H);  Q_i reads s_i, Σ_j α_ij v_j and a_i."""
    state = torch.randn(1, N, D)
    action = torch.randint(A, (1, N))
    s = F.layer_norm(state, (D,))[0]
    a = F.one_hot(action, A)[0].float()
    query = critic.query(s.unsqueeze(1))[:, 0]
    key, value = critic.key_value(torch.cat([s, a], -1).unsqueeze(1))[:, 0].chunk(2, -1)
    relevance = critic.relevance(state, action)[0]
    _, action_value = critic.predict(state, action)
    for i in range(N):
        others = [j for j in range(N) if j != i]
        logits = torch.stack([query[i] @ key[j] for j in others]) / HIDDEN**0.5
        alpha = torch.softmax(logits, 0)
        assert torch.allclose(relevance[others, i], alpha, atol=1e-5)
        row = torch.cat([s[i], alpha @ value[others], a[i]])
        expected = critic.action_value(row.expand(N, 1, -1))[i, 0]
        assert torch.allclose(action_value[0, i], expected, atol=1e-5)


@pytest.mark.parametrize("discretise", [Threshold(0.4), Soft()], ids=["threshold", "soft"])
def test_the_attention_decides_the_credit_and_learns(discretise):
    """The weights are the attention to the states and actions of the rollout itself."""
    critic = RelevanceCritic(4, 6, 5, hidden=HIDDEN)
    source = LearnedInfluence(discretise, writer=critic.relevance_module())
    module = ILVFP(
        functools.partial(Encircle, 4, horizon=10),
        CategoricalActor(4, 18, 5, hidden=HIDDEN),
        critic,
        influence=source,
        normalize="none",
        num_envs=4,
        rollout_steps=10,
        epochs=2,
        minibatches=2,
        eval_every=100,
        eval_episodes=2,
    )
    seen = []

    def remember(estimator, inputs, rollout):
        relevance = critic.relevance(rollout["agents", "state"], rollout["agents", "action"])
        seen.append((rollout.clone(), relevance))

    module.advantage.register_forward_hook(remember)
    before = parameters_of(critic.query).clone()
    fit(module, 1)
    ((rollout, weight),) = seen
    expected = (weight >= 0.4).float() if isinstance(discretise, Threshold) else weight
    assert torch.allclose(rollout["agents", "influence"], expected, atol=1e-6)
    advantage = expected @ rollout["agents", "individual_advantage"]
    assert torch.allclose(rollout["agents", "advantage"], advantage, atol=1e-4)
    assert not torch.equal(parameters_of(critic.query), before)
