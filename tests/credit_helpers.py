"""Rollouts, estimators and loss keys that the tests of credit share."""

import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torchrl.objectives import LossModule
from torchrl.objectives.value import MultiAgentGAE

from helpers import random_rollout
from ilvf.modules import InfluenceCritic

N = 3  # agents
D = 4  # numbers in an observation and in a state
A = 5  # actions
B = 6  # rows
T = 8  # steps
GAMMA = 0.9
LMBDA = 0.8


def gae(**options) -> MultiAgentGAE:
    """TorchRL's multi-agent GAE without a value network."""
    return MultiAgentGAE(gamma=GAMMA, lmbda=LMBDA, value_network=None, **options)


def influence_values() -> TensorDictModule:
    """A new influence critic that reads observations and writes values and weights."""
    return InfluenceCritic(N, D, A, hidden=8).value_module(state_key="observation")


def acted_rollout(n_agents: int = N, rows: int = B, steps: int = T) -> TensorDict:
    """A random rollout `[rows, steps]` with discrete actions of a uniform policy.

    Each step ends an episode with a probability of 0.15; half of these ends are terminations.
    """
    td = random_rollout(rows, steps, n_agents, D)
    td["agents", "action"] = torch.randint(A, (rows, steps, n_agents))
    td["agents", "action_log_prob"] = torch.full((rows, steps, n_agents), 1 / A).log()
    done = torch.rand(rows, steps, 1) < 0.15
    td["next", "done"] = done
    td["next", "terminated"] = done & (torch.rand(rows, steps, 1) < 0.5)
    return td


def add_values_and_weights(td: TensorDict) -> TensorDict:
    """Write random values and influence weights in place; returns `td`."""
    n_agents = td["agents", "observation"].shape[-2]
    td["agents", "state_value"] = torch.randn(*td.shape, n_agents, 1)
    td["next", "agents", "state_value"] = torch.randn(*td.shape, n_agents, 1)
    td["agents", "influence_weight"] = torch.rand(*td.shape, n_agents, n_agents)
    return td


def valued_rollout(n_agents: int = N) -> TensorDict:
    """A random rollout with actions, values and influence weights."""
    return add_values_and_weights(acted_rollout(n_agents))


def set_agent_keys(loss: LossModule) -> LossModule:
    """Point TorchRL's loss at the keys of the group "agents"; returns `loss`."""
    keys = {name: ("agents", name) for name in ("advantage", "value_target", "reward")}
    loss.set_keys(**keys, value=("agents", "state_value"), done="done", terminated="terminated")
    return loss


def total_loss(terms: TensorDict) -> torch.Tensor:
    """The sum of all terms whose names begin with `loss_`."""
    return sum(value.mean() for name, value in terms.items() if name.startswith("loss_"))
