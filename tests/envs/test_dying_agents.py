"""Agents that die before the episode ends: their values and targets.

`("agents", "mask")` is True for living agents.
"""

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torchrl.objectives.value import MultiAgentGAE

import zoo
from ilvf.credit import ILVFAdvantage
from ilvf.credit.estimators import CounterfactualAdvantage
from ilvf.modules import CategoricalActor, CounterfactualCritic
from pettingzoo_helpers import line_env, play_action

N = 3  # agents
D = 4  # numbers of a state
A = 5  # actions


class ConstantValue(torch.nn.Module):
    """V = 10 for all agents and states."""

    def forward(self, state):
        return torch.full((*state.shape[:-1], 1), 10.0)


# ---------------------------------------------------------------------- advantages
@pytest.mark.parametrize("shifted", [True, False])
def test_the_value_is_0_after_death(shifted):
    """Agent 1 dies in step 1 of four; λ = 0, so Â = r + 0.5 V(s') − V(s).

    Agent 0 lives: 2 + 0.5 · 10 − 10 = −3 in every step. Agent 1 has −3 in step 0, then
    2 + 0.5 · 0 − 10 = −8, and 0 when it is dead.
    """
    mask = torch.ones(1, 4, N, dtype=torch.bool)
    mask[:, 2:, 1] = False
    state = torch.zeros(1, 4, N, D)
    reward = torch.full((1, 4, N, 1), 2.0)
    reward[:, 2:, 1] = 0.0
    next_mask = torch.cat([mask[:, 1:], mask[:, -1:]], 1)
    next_agents = {"state": state.clone(), "reward": reward, "mask": next_mask}
    no_end = torch.zeros(1, 4, 1, dtype=torch.bool)
    later = {"agents": next_agents, "done": no_end, "terminated": no_end.clone()}
    td = TensorDict({"agents": {"state": state, "mask": mask}, "next": later}, [1, 4])
    critic = TensorDictModule(
        ConstantValue(), in_keys=[("agents", "state")], out_keys=[("agents", "state_value")]
    )
    inner = MultiAgentGAE(gamma=0.5, lmbda=0.0, value_network=None)
    estimate = ILVFAdvantage(inner, critic, torch.eye(N), normalize="none", shifted=shifted)
    advantage = estimate(td)["agents", "advantage"][0, :, :, 0]
    assert advantage[:, 0].tolist() == [-3.0] * 4
    assert advantage[:, 1].tolist() == [-3.0, -8.0, 0.0, 0.0]


@pytest.mark.parametrize("payment", [10.0, float("nan")])
def test_what_the_team_is_paid_after_a_death_is_not_the_dead_agents_return(payment):
    """V = 0, γ = 0.9, λ = 0.8; the second step of two pays. A of step 0 is 0.72 · 10, or 0."""
    mask = torch.tensor([[[True, True, True], [True, False, True]]])
    state = torch.zeros(1, 2, N, D)
    reward = torch.tensor([0.0, payment]).view(1, 2, 1, 1).repeat(1, 1, N, 1)
    if payment != payment:
        reward[:, 1, [0, 2]] = 10.0
    next_mask = torch.tensor([[[True, False, True]] * 2])
    no_end = torch.zeros(1, 2, 1, dtype=torch.bool)
    later = {"agents": {"state": state.clone(), "reward": reward, "mask": next_mask}}
    later |= {"done": no_end, "terminated": no_end.clone()}
    td = TensorDict({"agents": {"state": state, "mask": mask}, "next": later}, [1, 2])
    critic = TensorDictModule(
        lambda x: torch.zeros(*x.shape[:-1], 1),
        in_keys=[("agents", "state")],
        out_keys=[("agents", "state_value")],
    )
    inner = MultiAgentGAE(gamma=0.9, lmbda=0.8, value_network=None)
    estimate = ILVFAdvantage(inner, critic, torch.eye(N), normalize="none")
    advantage = estimate(td)["agents", "advantage"][0, :, :, 0]
    assert advantage.flatten().tolist() == pytest.approx([7.2, 0, 7.2, 10, 0, 10])
    assert not td["next", "done"].any()
    assert td["next", "agents", "reward"] is reward


def coma_rollout(next_mask, next_bootstrap=None, lmbda=0.0, gamma=0.5):
    """A rollout `[1, 2]` with COMA's targets; agent 1 is dead in its second step.

    The team's reward is 3, without what agent 1 is paid after its death, and γ = 0.5. Q̄ of agent 1
    is 1000, of the others 10.

    Args:
        next_mask, next_bootstrap: of the next states, `[2, N]` nested lists.
        lmbda: λ.
    """
    critic = CounterfactualCritic(N, D, A, hidden=8)
    for parameter in critic.parameters():
        parameter.data.zero_()
    value = torch.tensor([10.0, 1000.0, 10.0]).view(N, 1, 1)
    critic.rest.head.bias.data.copy_(value.expand(N, 1, A))
    actor = CategoricalActor(N, D, A, hidden=8)
    state = torch.randn(1, 2, N, D)
    mask = torch.tensor([[[True, True, True], [True, False, True]]])
    agents = {"observation": state, "state": state, "mask": mask}
    reward = torch.tensor([[1.0, 1.0, 1.0], [1.5, 99.0, 1.5]]).view(1, 2, N, 1)
    next_agents = {"observation": state, "state": state, "reward": reward}
    next_agents["mask"] = torch.tensor([next_mask])
    if next_bootstrap is not None:
        next_agents["bootstrap"] = torch.tensor([next_bootstrap])
    no_end = torch.zeros(1, 2, 1, dtype=torch.bool)
    later = {"agents": next_agents, "done": no_end, "terminated": no_end.clone()}
    td = TensorDict({"agents": agents, "next": later}, [1, 2])
    with torch.no_grad():
        actor(td)
    estimate = CounterfactualAdvantage(
        actor, critic, None, gamma=gamma, lmbda=lmbda, normalize="none"
    )
    return estimate(td)


WITHOUT_AGENT_1 = [True, False, True]
EVERYONE = [True, True, True]


def test_comas_target_without_a_future_is_the_teams_reward():
    td = coma_rollout([EVERYONE] * 2, lmbda=0.8, gamma=0.0)
    assert td["agents", "value_target"].flatten().tolist() == pytest.approx([3.0] * 6)


@pytest.mark.parametrize("bootstrap", [None, [WITHOUT_AGENT_1] * 2])
def test_comas_target_uses_the_values_of_living_agents(bootstrap):
    """Agent 1 dies in the first step; the target of all agents is 3 + 0.5 · 10."""
    td = coma_rollout([WITHOUT_AGENT_1] * 2, bootstrap)
    assert td["agents", "value_target"].flatten().tolist() == pytest.approx([8.0] * 6)
    assert not td["agents", "advantage"][0, 1, 1].any()


@pytest.mark.parametrize("lmbda", [0.0, 0.6, 1.0])
def test_comas_target_of_an_agent_whose_clock_has_ended_is_its_own_value(lmbda):
    """Agent 1 alone is truncated in the first step: 3 + 0.5 · 1000 for every λ.

    The team's later rewards come without agent 1, so that its return does not include them. The
    others have 8 in the second step, and 3 + 0.5 [(1 − λ) 10 + λ 8] in the first.
    """
    td = coma_rollout([WITHOUT_AGENT_1] * 2, [EVERYONE, WITHOUT_AGENT_1], lmbda)
    target = td["agents", "value_target"][0, :, :, 0]
    other = 3 + 0.5 * (10 - 2 * lmbda)
    assert target[0].tolist() == pytest.approx([other, 503.0, other])
    assert target[1].tolist() == pytest.approx([8.0] * 3)


# ---------------------------------------------------------------------- a rollout and a loop
GAMMA = 0.9
LMBDA = 0.8
LINE = dict(dying=True, with_state=True, num_envs=2)
DEATHS = {  # of agents, in an environment whose clock ends after 5 steps
    "terminations": dict(limit=5, terminated_at={"ann": 2, "bob": 4}),
    "a termination with the clock": dict(limit=5, terminated_at={"ann": 5, "bob": 2}),
    "all terminated": dict(limit=9, terminated_at={"ann": 2, "bob": 5, "cat": 5}),
}
OWN_CLOCKS = {
    "an own clock": dict(limit=5, truncated_at={"ann": 2}),
    "both": dict(limit=5, truncated_at={"ann": 2, "cat": 4}, terminated_at={"bob": 5}),
    "an own clock, then terminations": dict(
        limit=9, truncated_at={"ann": 1}, terminated_at={"bob": 4, "cat": 5}
    ),
}


class SumValue(torch.nn.Module):
    """V_i = 3 + the sum of agent i's state."""

    def forward(self, state):
        return 3 + state.sum(-1, keepdim=True)


def targets_by_loop(td, deaths, value):
    """λ-returns of every agent in its own life, from the known steps of the ends, `[B, T, N]`.

    At its end an agent that is terminated has no future; one that is truncated has the value of
    its last state. A dead agent has the target 0.
    """
    reward = td["next", "agents", "reward"].squeeze(-1)
    now = value(td["agents", "state"]).squeeze(-1)
    later = value(td["next", "agents", "state"]).squeeze(-1)
    target = torch.zeros_like(reward)
    rows, steps, _ = reward.shape
    episode = 5  # steps of an episode, in all cases
    for b in range(rows):
        for i, name in enumerate(zoo.AGENTS):
            terminated = deaths.get("terminated_at", {}).get(name, 99)
            truncated = deaths.get("truncated_at", {}).get(name, deaths["limit"])
            last = min(terminated, truncated)
            advantage = 0.0
            for t in reversed(range(steps)):
                step = t % episode + 1
                if step > last:
                    advantage = 0.0
                    continue
                future = 0.0 if step == terminated else later[b, t, i]
                if step == last or t == steps - 1:
                    advantage = 0.0
                delta = reward[b, t, i] + GAMMA * future - now[b, t, i]
                advantage = delta + GAMMA * LMBDA * advantage
                target[b, t, i] = advantage + now[b, t, i]
    return target


@pytest.mark.parametrize("deaths", [*DEATHS.values(), *OWN_CLOCKS.values()])
def test_targets_from_the_keys_of_the_environment(deaths):
    """TorchRL's GAE with the ends of every agent; 12 steps are two episodes and a part of one."""
    td = play_action(line_env(**LINE, **deaths), 12)
    expected = targets_by_loop(td, deaths, SumValue())
    alive = td["agents", "mask"].unsqueeze(-1)
    future = td["next", "agents", "bootstrap"].unsqueeze(-1)
    goes_on = td["next", "agents", "mask"].unsqueeze(-1) & ~td["next", "done"].unsqueeze(-2)
    td["agents", "state_value"] = SumValue()(td["agents", "state"]) * alive
    td["next", "agents", "state_value"] = SumValue()(td["next", "agents", "state"]) * future
    td["next", "agents", "done"] = ~goes_on
    td["next", "agents", "terminated"] = ~future
    gae = MultiAgentGAE(gamma=GAMMA, lmbda=LMBDA, value_network=None)
    gae.set_keys(
        value=("agents", "state_value"),
        reward=("agents", "reward"),
        done=("agents", "done"),
        terminated=("agents", "terminated"),
        value_target="target",
        advantage="advantage",
    )
    assert torch.allclose(gae(td)["target"].squeeze(-1), expected, atol=1e-4)


@pytest.mark.parametrize("shifted", [True, False])
@pytest.mark.parametrize("deaths", [*DEATHS.values(), *OWN_CLOCKS.values()])
def test_targets_of_ilvf_are_those_of_the_loop(deaths, shifted):
    td = play_action(line_env(**LINE, **deaths), 12)
    expected = targets_by_loop(td, deaths, SumValue())
    critic = TensorDictModule(
        SumValue(), in_keys=[("agents", "state")], out_keys=[("agents", "state_value")]
    )
    inner = MultiAgentGAE(gamma=GAMMA, lmbda=LMBDA, value_network=None)
    estimate = ILVFAdvantage(inner, critic, torch.eye(N), normalize="none", shifted=shifted)
    estimate(td)
    target = td["agents", "value_target"].squeeze(-1)
    assert torch.allclose(target * td["agents", "mask"], expected, atol=1e-4)
