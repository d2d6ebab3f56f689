"""What the tasks of two agents have in common of which only agent 0 moves the other's return."""

import torch

from ilvf.envs.base import BatchedEnv


class TwoAgents(BatchedEnv):
    """Two agents see targets of their own, drawn anew in every step; see `Aim` and `Dials`."""

    n_agents = 2

    @property
    def observation_graph(self):
        return torch.eye(2, dtype=torch.bool)

    transition_graph = observation_graph

    @property
    def reward_graph(self):
        return torch.tensor([[True, False], [True, True]])

    def initial(self):
        return {"target": self.targets(), "reward": torch.zeros(self.batch_size[0], 2)}

    def after(self, e_0, e_1):
        """The next world: r_0 = −e_0, r_1 = −e_1 − e_0 / 2."""
        return {"target": self.targets(), "reward": torch.stack([-e_0, -e_1 - e_0 / 2], -1)}

    def reward(self, world):
        return world["reward"]
