"""`ILVFAdvantage` around each of TorchRL's value estimators."""

import pytest
import torch
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.objectives.value import (
    GAE,
    MultiAgentGAE,
    TD0Estimator,
    TD1Estimator,
    TDLambdaEstimator,
    VTrace,
)

from credit_helpers import (
    GAMMA,
    LMBDA,
    A,
    B,
    D,
    N,
    T,
    acted_rollout,
    gae,
    influence_values,
    valued_rollout,
)
from helpers import torchrl_policy
from ilvf.credit import ILVFAdvantage, Soft
from ilvf.credit.estimators import GAEWithReturns
from ilvf.modules import CategoricalActor, StateCritic


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def vtrace():
    actor = CategoricalActor(N, D, A, hidden=8, gain=1.0)
    policy = torchrl_policy(actor, log_prob_key=("agents", "action_log_prob"))
    return VTrace(gamma=GAMMA, value_network=None, actor_network=policy)


INNERS = {
    "GAE": lambda: GAE(gamma=GAMMA, lmbda=LMBDA, value_network=None),
    "MultiAgentGAE": gae,
    "TD0": lambda: TD0Estimator(gamma=GAMMA, value_network=None),
    "TD1": lambda: TD1Estimator(gamma=GAMMA, value_network=None),
    "TDLambda": lambda: TDLambdaEstimator(gamma=GAMMA, lmbda=LMBDA, value_network=None),
    "VTrace": vtrace,
}


def individual_advantages(td, inner):
    """Advantages and targets of `inner` when every signal is expanded to `[B, T, N, 1]`."""
    td = td.copy()
    for name in ("done", "terminated"):
        td["next", name] = td["next", name].unsqueeze(-2).expand(B, T, N, 1)
    td["next", "agents", "reward"] = td["next", "agents", "reward"].expand(B, T, N, 1)
    keys = {"value": ("agents", "state_value"), "reward": ("agents", "reward")}
    if isinstance(inner, VTrace):
        keys["sample_log_prob"] = ("agents", "action_log_prob")
    inner.set_keys(**keys, advantage="a", value_target="g", done="done", terminated="terminated")
    inner(td)
    return td["a"], td["g"]


@pytest.mark.parametrize("name", INNERS)
def test_the_identity_gives_the_inner_advantages_and_ones_their_sum(name):
    td = valued_rollout()
    torch.manual_seed(1)
    individual, target = individual_advantages(td, INNERS[name]())
    team = individual.sum(-2, keepdim=True).expand_as(individual)
    for graph, expected in ((torch.eye(N), individual), (torch.ones(N, N), team)):
        torch.manual_seed(1)
        out = ILVFAdvantage(INNERS[name](), influence=graph, normalize="none")(td.copy())
        assert torch.allclose(out["agents", "advantage"], expected, atol=1e-5)
        assert torch.allclose(out["agents", "value_target"], target, atol=1e-5)


@pytest.mark.parametrize("name", INNERS)
def test_a_team_reward_counts_for_every_agent(name):
    td = valued_rollout()
    reward = torch.randn(B, T, 1)
    td["next", "agents", "reward"] = reward
    per_agent = td.copy()
    per_agent["next", "agents", "reward"] = reward.unsqueeze(-2)
    torch.manual_seed(1)
    expected, _ = individual_advantages(per_agent, INNERS[name]())
    torch.manual_seed(1)
    out = ILVFAdvantage(INNERS[name](), influence=torch.eye(N), normalize="none")(td)
    assert torch.allclose(out["agents", "advantage"], expected, atol=1e-5)
    assert td["next", "agents", "reward"].shape == (B, T, 1)  # the rollout keeps its shapes


def test_advantages_that_are_scaled_before_they_are_summed_are_refused(refused):
    """With them, an action that costs the team 9 is credited: it pays the agent itself 1."""
    with refused("ILVFAdvantage", "average_gae=True", "leave it out"):
        ILVFAdvantage(gae(average_gae=True))


@pytest.mark.parametrize("name", ["MultiAgentGAE", "TD0"])
def test_steps_to_the_next_observation_are_the_teams(name):
    """k steps discount by γ^k; k = 1 is the same as none."""
    td = valued_rollout()
    advantage = ILVFAdvantage(INNERS[name](), influence=torch.eye(N), normalize="none")
    plain = advantage(td.copy())["agents", "advantage"]
    td["steps_to_next_obs"] = torch.ones(B, T, 1, dtype=torch.int64)
    assert torch.allclose(advantage(td.copy())["agents", "advantage"], plain)
    td["steps_to_next_obs"] += 1
    assert not torch.allclose(advantage(td)["agents", "advantage"], plain)


def test_an_inner_estimator_may_run_the_critic_itself():
    """The estimator runs the critic for the values; `ILVFAdvantage` runs it for the weights."""
    value = influence_values()
    keys = ("advantage", "influence_weight", "influence", "value_target", "state_value")

    def inside():
        return ILVFAdvantage(GAE(gamma=GAMMA, lmbda=LMBDA, value_network=value))

    td = acted_rollout()
    found = inside()(td.clone())
    expected = ILVFAdvantage(gae(), value)(td.clone())
    for key in keys:
        assert torch.allclose(found["agents", key], expected["agents", key], atol=1e-5), key
    with torch.no_grad():
        for parameter in value.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    found = inside()(found)  # values and weights of the old critic are replaced
    expected = ILVFAdvantage(gae(), value)(td.clone())
    for key in keys:
        assert torch.allclose(found["agents", key], expected["agents", key], atol=1e-5), key


def test_a_team_reward_with_an_estimator_that_runs_the_critic(refused):
    """MultiAgentGAE reads the number of agents from its values; plain GAE cannot."""
    value = influence_values()
    td = acted_rollout()
    td["next", "agents", "reward"] = torch.randn(B, T, 1)
    td["agents"].batch_size = [B, T]
    td["next", "agents"].batch_size = [B, T]
    inner = MultiAgentGAE(gamma=GAMMA, lmbda=LMBDA, value_network=value)
    inside = ILVFAdvantage(inner)(td.clone())
    outside = ILVFAdvantage(gae(), value)(td.clone())
    assert torch.allclose(inside["agents", "advantage"], outside["agents", "advantage"], atol=1e-5)
    with refused("number of agents", "MultiAgentGAE", f"({B}, {T}, N, 1)"):
        ILVFAdvantage(GAE(gamma=GAMMA, lmbda=LMBDA, value_network=value))(td)


def test_loading_a_state_dict_keeps_the_configured_graph():
    state = ILVFAdvantage(gae(), influence=torch.eye(N)).state_dict()
    here = ILVFAdvantage(gae(), influence=torch.ones(N, N))
    here.load_state_dict(state)
    assert torch.equal(here.source.graph, torch.ones(N, N))


def test_any_module_may_write_the_weights():
    """Here the influence of an agent falls with the distance between observations."""

    def nearness(observation):
        return torch.exp(-torch.cdist(observation, observation))

    writer = TensorDictModule(
        nearness, in_keys=[("agents", "observation")], out_keys=[("agents", "influence_weight")]
    )
    value = StateCritic(N, D, hidden=8).value_module(state_key="observation")
    advantage = ILVFAdvantage(gae(), value, discretise=Soft())
    out = TensorDictSequential(writer, advantage)(acted_rollout())
    expected = nearness(out["agents", "observation"])
    assert torch.allclose(out["agents", "influence"], expected, atol=1e-6)


def test_the_value_estimate_of_returns_is_their_value_target():
    rollout = valued_rollout()
    estimator = ILVFAdvantage(GAEWithReturns(GAMMA, LMBDA), influence=torch.eye(N))
    target = estimator(rollout.copy())["agents", "value_target"]
    assert torch.allclose(estimator.value_estimate(rollout.copy()), target, atol=1e-5)
