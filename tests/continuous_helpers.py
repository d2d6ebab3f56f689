"""A task with continuous actions whose optimum and influence are known."""

import functools

import torch

from ilvf.modules import Box
from two_agents import TwoAgents

LOW = [[-1.0, 0.0], [0.0, -2.0]]
HIGH = [[3.0, 0.0], [10.0, -1.0]]  # the second number of agent 0 is padding


class Aim(TwoAgents):
    """Two agents with other bounds each aim at a target that changes in every step.

        e_0 = (u_0 − t_0)²,    e_1 = mean over two numbers of (u_1 − t_1)²
        r_0 = −e_0,            r_1 = −e_1 − e_0 / 2

    u is the action in units of half its range around the middle, t ~ U(−0.8, 0.8) the observed
    target. The best reward is 0. Only agent 0 moves the return of the other.
    """

    n_actions = 2
    observation_dim = 2
    state_dim = 2

    def __init__(self, *, num_envs=1, horizon=4, seed=None, device="cpu"):
        super().__init__(num_envs=num_envs, horizon=horizon, seed=seed, device=device)

    @functools.cached_property
    def actions(self):
        return Box(LOW, HIGH)

    @property
    def observation_mask(self):
        return torch.tensor([[True, False], [True, True]])

    def targets(self):
        unit = torch.rand(self.batch_size[0], 2, 2, generator=self.rng)
        return (1.6 * unit - 0.8) * self.observation_mask

    def advance(self, world, action):
        first = (action[:, 0, 0] - 1) / 2
        second = torch.stack([(action[:, 1, 0] - 5) / 5, 2 * action[:, 1, 1] + 3], -1)
        e_0 = (first - world["target"][:, 0, 0]).square()
        e_1 = (second - world["target"][:, 1]).square().mean(-1)
        return self.after(e_0, e_1)

    def observe(self, world):
        return world["target"], world["target"]
