"""What the tasks have in common in which no agent moves another one's return."""

import torch

from ilvf.envs.base import BatchedEnv

AGENTS = 2


class LoneAgents(BatchedEnv):
    """Two agents that see and move nobody but themselves; the state is the observation.

    Args:
        horizon: steps of an episode.
    """

    n_agents = AGENTS

    def __init__(self, *, num_envs=1, horizon=4, seed=None, device="cpu"):
        super().__init__(num_envs=num_envs, horizon=horizon, seed=seed, device=device)

    @property
    def observation_graph(self):
        return torch.eye(AGENTS, dtype=torch.bool)

    transition_graph = reward_graph = observation_graph

    @property
    def observation_mask(self):
        return torch.ones(AGENTS, self.observation_dim, dtype=torch.bool)
