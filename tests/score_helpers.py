"""A ring of agents whose influence is known, which the tests of the score test share."""

import torch
from tensordict import TensorDict
from torchrl.objectives.value import MultiAgentGAE

from ilvf.credit import ILVFAdvantage
from ilvf.modules import CategoricalActor

N = 5  # agents
D = 4  # numbers in an observation
A = 3  # actions


def actor_of(n=N, **options):
    return CategoricalActor(n, D, A, hidden=8, **options)


def ring_rollout(actor, rows=64, steps=20, *, effect=1.0, group="agents"):
    """Agent i's action 0 pays `effect` to itself and to agent i + 1, on a ring, with noise."""
    n = actor.arguments["n_agents"]
    observation = torch.randn(rows, steps, n, D)
    td = TensorDict({group: {"observation": observation}}, [rows, steps], names=[None, "time"])
    actor(td)
    paid = effect * (td[group, "action"] == 0).float()
    reward = paid + paid.roll(1, -1) + torch.randn(rows, steps, n)
    done = torch.zeros(rows, steps, 1, dtype=torch.bool)
    done[:, -1] = True
    td["next"] = TensorDict({group: {"reward": reward.unsqueeze(-1)}}, [rows, steps])
    td["next", "done"] = done
    td["next", "terminated"] = torch.zeros_like(done)
    for place in (td, td["next"]):
        place[group, "state_value"] = torch.zeros(rows, steps, n, 1)
    return td.detach()


def gae():
    return MultiAgentGAE(gamma=0.9, lmbda=0.9, value_network=None)


def advantage_with(source, **options):
    return ILVFAdvantage(gae(), influence=source, **options)


def ring(n=N):
    """Row i: agents i and i + 1."""
    eye = torch.eye(n)
    return eye + eye.roll(1, 1)
