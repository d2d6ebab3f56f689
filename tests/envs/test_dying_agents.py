"""Agents that die before the episode ends: their values, losses and targets.

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
from ilvf.losses import ILVFLoss
from ilvf.losses.maddpg import MADDPGLoss
from ilvf.modules import CategoricalActor, CounterfactualCritic, InfluenceCritic, ValueNorm
from ilvf.modules.critics.joint import JointCritic
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


def test_comas_target_uses_the_values_of_living_agents():
    """Agent 1 is dead after the first of two steps.

    Q̄ of the living is 10, of the dead 1000. γ = 0.5, λ = 0: the target of all agents is the team's
    reward of 3, plus 0.5 · 10.
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
    next_agents = {"observation": state, "state": state, "reward": torch.ones(1, 2, N, 1)}
    next_agents["mask"] = torch.tensor([True, False, True]).expand(1, 2, N)
    no_end = torch.zeros(1, 2, 1, dtype=torch.bool)
    later = {"agents": next_agents, "done": no_end, "terminated": no_end.clone()}
    td = TensorDict({"agents": agents, "next": later}, [1, 2])
    with torch.no_grad():
        actor(td)
    CounterfactualAdvantage(actor, critic, None, gamma=0.5, lmbda=0.0, normalize="none")(td)
    assert td["agents", "value_target"].flatten().tolist() == pytest.approx([8.0] * 6)
    assert not td["agents", "advantage"][0, 1, 1].any()


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


# ---------------------------------------------------------------------- losses
class TestPPOLoss:
    @pytest.fixture
    def loss(self):
        torch.manual_seed(1)
        actor = CategoricalActor(N, D, A, hidden=8, gain=1.0)
        return ILVFLoss(actor, InfluenceCritic(N, D, A, hidden=8), entropy=0.5)

    @pytest.fixture
    def batch(self, loss):
        """Six rows with random advantages and targets."""
        state = torch.randn(6, N, D)
        with torch.no_grad():
            td = loss.actor(TensorDict({"agents": {"observation": state, "state": state}}, [6]))
        for key in ("advantage", "value_target", "normalised_value", "state_value"):
            td["agents", key] = torch.randn(6, N, 1)
        return td

    @staticmethod
    def terms(loss, batch):
        """The terms of the loss, with the same random numbers in every call."""
        torch.manual_seed(0)
        return loss(batch)

    def test_a_mask_of_living_agents_changes_nothing(self, loss, batch):
        without = self.terms(loss, batch)
        batch["agents", "mask"] = torch.ones(6, N, dtype=torch.bool)
        for name, value in self.terms(loss, batch).items():
            assert torch.equal(value, without[name])

    def test_dead_agents_have_no_part_in_the_loss(self, loss, batch):
        """Agent 2 is dead; its networks get no gradient."""
        batch["agents", "mask"] = torch.tensor([True, True, False]).expand(6, N)
        small = self.terms(loss, batch)
        batch["agents", "advantage"][:, 2] = 1e6
        batch["agents", "value_target"][:, 2] = 1e6
        terms = self.terms(loss, batch)
        for name, value in terms.items():
            assert torch.equal(value, small[name]), name
        sum(value for name, value in terms.items() if name.startswith("loss_")).backward()
        for network in (loss.actor.net.head, loss.critic.action_value.head):
            gradient = network.weight.grad
            assert gradient[:2].abs().sum(dim=(1, 2)).min() > 0
            assert not gradient[2].any()


def test_maddpgs_target_of_dead_agents_is_their_reward():
    """γ = 0.9 and Q(s', a') = 10: 1 + 0.9 · 10 for the living, 1 for agent 1."""
    actor = CategoricalActor(N, D, A, hidden=8)
    critic = JointCritic(N, D, A, hidden=8)
    loss = MADDPGLoss(actor, critic, gamma=0.9, normalize_values=False)
    for parameter in loss.target_critic.parameters():
        parameter.data.fill_(0.0)
    loss.target_critic.net.head.bias.data.fill_(10.0)
    rows = 4
    state = torch.randn(rows, N, D)
    agents = {"observation": state, "state": state}
    agents["action"] = torch.zeros(rows, N, dtype=torch.long)
    next_agents = {"observation": state, "state": state, "reward": torch.ones(rows, N, 1)}
    next_agents["mask"] = torch.tensor([True, False, True]).expand(rows, N)
    later = {"agents": next_agents, "terminated": torch.zeros(rows, 1).bool()}
    td = TensorDict({"agents": agents, "next": later}, [rows])
    assert loss.target(td)[0].flatten().tolist() == [10.0, 1.0, 10.0]


# ---------------------------------------------------------------------- normalization
def test_a_value_norm_counts_living_agents_only():
    """Agent 0 lives with 1 and 3 and is dead in the third row; agent 1 is always dead."""
    values = torch.tensor([[[1.0], [7.0]], [[3.0], [7.0]], [[1e6], [7.0]]])
    mask = torch.tensor([[True, False], [True, False], [False, False]]).unsqueeze(-1)
    norm = ValueNorm((2, 1))
    norm.update(values, mask)
    mean, std = norm.moments()
    assert mean.flatten().tolist() == pytest.approx([2.0, 0.0])
    assert std[0].item() == pytest.approx(1.0)  # (1 + 1) / 2


def test_a_value_norm_keeps_the_moments_of_a_dead_agent():
    """Agent 1 lives with values of 7 and is dead in the next update."""
    values = torch.tensor([[[1.0], [7.0]], [[3.0], [7.0]]])
    norm = ValueNorm((2, 1))
    norm.update(values, torch.ones(2, 2, 1, dtype=torch.bool))
    norm.update(values, torch.tensor([[True, False]] * 2).unsqueeze(-1))
    mean, _ = norm.moments()
    assert mean[1].item() == pytest.approx(7.0)
