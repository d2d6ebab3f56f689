"""COMA: the counterfactual baseline, its critic, and the λ-returns that it regresses."""

import functools

import pytest
import torch

from credit_helpers import A, B, D, N, T, acted_rollout
from ilvf.algorithms import COMA
from ilvf.credit.estimators import CounterfactualAdvantage
from ilvf.envs import Encircle
from ilvf.modules import CategoricalActor, CounterfactualCritic

GAMMA = 0.9
LMBDA = 0.8


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def critic():
    return CounterfactualCritic(N, D, A, hidden=8)


@pytest.fixture
def actor():
    return CategoricalActor(N, D, A, hidden=8, gain=1.0)


def policy_gradient(logits, credit):
    """Σ_b π(b) ∇ log π(b) credit(b), with respect to the logits."""
    logits = logits.clone().requires_grad_()
    log_prob = logits.log_softmax(-1)
    objective = (log_prob.exp().detach() * log_prob * credit).sum()
    return torch.autograd.grad(objective, logits)[0]


def test_the_baseline_does_not_change_the_policy_gradient(actor, critic):
    td = acted_rollout()
    with torch.no_grad():
        q = critic.all_actions(td["agents", "state"], td["agents", "action"])
        logits = actor.log_probs(td["agents", "observation"])
    baseline = (logits.exp() * q).sum(-1, keepdim=True)
    without = policy_gradient(logits, q)
    assert without.abs().max() > 1e-3
    assert torch.allclose(policy_gradient(logits, q - baseline), without, atol=1e-5)


def test_the_critic_of_an_agent_reads_the_actions_of_the_others_only(critic):
    state = torch.randn(B, N, D)
    action = torch.randint(A, (B, N))
    other = action.clone()
    other[:, 1] = (action[:, 1] + 1) % A
    change = critic.all_actions(state, other) - critic.all_actions(state, action)
    largest = change.abs().amax((0, 2))
    assert largest[1] < 1e-6
    assert largest[[0, 2]].min() > 1e-4


def test_the_critic_predicts_the_value_of_the_action_taken(critic):
    state = torch.randn(B, N, D)
    action = torch.randint(A, (B, N))
    taken = critic.all_actions(state, action).gather(-1, action.unsqueeze(-1))
    assert torch.equal(critic.predict(state, action)[0], taken)


def write_credit(td, actor, critic):
    """Write advantages and value targets; the next actions are drawn with seed 7."""
    torch.manual_seed(7)
    CounterfactualAdvantage(actor, critic, None, gamma=GAMMA, lmbda=LMBDA, normalize="none")(td)


def test_the_advantage_compares_with_the_mean_over_the_policy(actor, critic):
    """Â = Q(a) − Σ_b π(b) Q(b)"""
    td = acted_rollout()
    write_credit(td, actor, critic)
    with torch.no_grad():
        q = critic.all_actions(td["agents", "state"], td["agents", "action"])
        probability = actor.log_probs(td["agents", "observation"]).exp()
    taken = q.gather(-1, td["agents", "action"].unsqueeze(-1))
    expected = taken - (probability * q).sum(-1, keepdim=True)
    assert torch.allclose(td["agents", "advantage"], expected, atol=1e-6)


def test_the_target_is_the_lambda_return_of_the_team(actor, critic):
    """G_t = R_t + γ [(1 − λ) Q' + λ G_{t+1}], with 1 for 1 − λ at the end of an episode.

    Q' = 0 after a termination.
    """
    td = acted_rollout()
    write_credit(td, actor, critic)
    torch.manual_seed(7)
    with torch.no_grad():
        following = td["next"].select(("agents", "observation"))
        action = actor(following)["agents", "action"]
        next_value = critic(td["next", "agents", "state"], action)[..., 0]
    reward = td["next", "agents", "reward"].sum((-1, -2))
    for b in range(B):
        for i in range(N):
            target = next_value[b, -1, i]
            for t in reversed(range(T)):
                future = next_value[b, t, i]
                if t < T - 1 and not td["next", "done"][b, t]:
                    future = (1 - LMBDA) * future + LMBDA * target
                if td["next", "terminated"][b, t]:
                    future = 0.0
                target = reward[b, t] + GAMMA * future
                found = td["agents", "value_target"][b, t, i, 0].item()
                assert found == pytest.approx(target.item(), abs=1e-4)


def test_bad_arguments(refused):
    make_env = functools.partial(Encircle, 4)
    actor = CategoricalActor(4, 18, 5, hidden=8)
    with refused("lmbda=-1", "[0, 1]"):
        COMA(make_env, actor, CounterfactualCritic(4, 6, 5, hidden=8), lmbda=-1.0)
