"""A task whose optimum is in a set: an agent says in which quarter the nearest entity is."""

import torch

from ilvf.envs.base import BatchedEnv
from ilvf.modules.entity_sets import EntitySet

AGENTS = 2
MOST = 5  # entities
QUARTERS = 4


class Nearest(BatchedEnv):
    """Each agent sees 0 to 5 entities, in random order, each at a place (x, y) in [−1, 1]².

    The reward of an agent is 1 if its action is the quarter of the nearest one, or 4 if there is
    none. The entities are drawn anew in every step; those that are not there have numbers, too.
    The observation is [random number, flags, places]. The state is the observation.
    """

    n_agents = AGENTS
    n_actions = QUARTERS + 1
    observation_dim = 1 + 3 * MOST
    state_dim = observation_dim
    observation_sets = (EntitySet(entities=MOST, features=2, begin=1 + MOST, mask=1),)
    state_sets = observation_sets

    def __init__(self, *, num_envs=1, horizon=4, seed=None, device="cpu"):
        super().__init__(num_envs=num_envs, horizon=horizon, seed=seed, device=device)

    @property
    def observation_graph(self):
        return torch.eye(AGENTS, dtype=torch.bool)

    transition_graph = reward_graph = observation_graph

    @property
    def observation_mask(self):
        return torch.ones(AGENTS, self.observation_dim, dtype=torch.bool)

    def initial(self):
        shape = (*self.batch_size, AGENTS)
        world = {"right": torch.zeros(shape, device=self.device)}
        return {**world, **self._entities(shape)}

    def _entities(self, shape):
        def draw(*more):
            return torch.rand((*shape, *more), generator=self.rng, device=self.device)

        count = (draw(1) * (MOST + 1)).floor()
        there = draw(MOST).argsort(-1) < count
        return {"place": 2 * draw(MOST, 2) - 1, "there": there, "noise": draw(1)}

    def advance(self, world, action):
        right = (action == answer(world)).float()
        return {**world, "right": right, **self._entities(action.shape)}

    def observe(self, world):
        parts = [world["noise"], world["there"].float(), world["place"].flatten(-2)]
        seen = torch.cat(parts, -1)
        return seen, seen

    def reward(self, world):
        return world["right"]


def answer(world):
    """The right actions `[B, N]`."""
    place = world["place"]
    far = place.norm(dim=-1).masked_fill(~world["there"], torch.inf)
    nearest = far.argmin(-1)[..., None, None].expand(*far.shape[:-1], 1, 2)
    quarter = (place.gather(-2, nearest).squeeze(-2) > 0).long() @ torch.tensor([2, 1])
    return torch.where(world["there"].any(-1), quarter, QUARTERS)
