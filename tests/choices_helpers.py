"""A task with several choices at once whose optimum and influence are known."""

import functools

import torch

from ilvf.modules import MultiChoices
from two_agents import TwoAgents

COUNTS = [[3, 2], [4, 1]]  # the second component of agent 1 is padding


class Dials(TwoAgents):
    """Two agents set their dials to targets that change in every step, and are observed.

        e_0 = share of agent 0's two dials that are wrong,    e_1 = 1 if that of agent 1 is wrong
        r_0 = −e_0,                                           r_1 = −e_1 − e_0 / 2

    The best reward is 0. Only agent 0 moves the return of the other.

    Args:
        barred: forbid the position after the target, by an action mask.
    """

    n_actions = 6
    observation_dim = 6
    state_dim = 6

    def __init__(self, *, barred=False, num_envs=1, horizon=4, seed=None, device="cpu"):
        self.masked = barred
        super().__init__(num_envs=num_envs, horizon=horizon, seed=seed, device=device)

    @functools.cached_property
    def actions(self):
        return MultiChoices(COUNTS)

    @property
    def observation_mask(self):
        return self.actions.existing

    def targets(self):
        unit = torch.rand(self.batch_size[0], 2, 2, generator=self.rng)
        return (unit * self.actions.counts).long()

    def advance(self, world, action):
        wrong = (action != world["target"]).float()
        e_0 = wrong[:, 0].mean(-1)
        e_1 = wrong[:, 1, 0]
        return self.after(e_0, e_1)

    def one_hot(self, position):
        return self.actions.encode(position, position[..., :1].float())

    def observe(self, world):
        seen = self.one_hot(world["target"])
        return seen, seen

    def action_mask(self, world):
        barred = self.one_hot((world["target"] + 1) % self.actions.counts).bool()
        wanted = self.one_hot(world["target"]).bool()  # a dial with one position keeps it
        return self.actions.existing & (wanted | ~barred)
