"""Tasks with sets of entities. The optimum of one is in a set: where the nearest entity is."""

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from tensordict import TensorDict
from torchrl.data import Binary, Composite, Unbounded

from ilvf.modules.entity_sets import EntitySet
from image_helpers import Lights
from lone_agents import AGENTS, LoneAgents

MOST = 5  # entities
QUARTERS = 4


class Nearest(LoneAgents):
    """Each agent sees 0 to 5 entities, in random order, each at a place (x, y) in [−1, 1]².

    The reward of an agent is 1 if its action is the quarter of the nearest one, or 4 if there is
    none. The entities are drawn anew in every step; those that are not there have numbers, too.
    The observation is [random number, flags, places]. The state is the observation.
    """

    n_actions = QUARTERS + 1
    observation_dim = 1 + 3 * MOST
    state_dim = observation_dim
    observation_sets = (EntitySet(entities=MOST, features=2, begin=1 + MOST, mask=1),)
    state_sets = observation_sets

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


class Crowd(gymnasium.Env):
    """Two agents; each sees its step, and in step t a crowd of t others, as a sequence."""

    def __init__(self):
        self.max_steps = 4
        seen = spaces.Dict(
            {"step": spaces.Box(0, 9, (1,)), "others": spaces.Sequence(spaces.Box(-1, 1, (2,)))}
        )
        self.observation_space = spaces.Tuple([seen, seen])
        self.action_space = spaces.Tuple([spaces.Discrete(2)] * 2)

    def seen(self):
        others = tuple(np.full(2, k / 9, np.float32) for k in range(self.steps))
        one = {"step": np.array([self.steps], np.float32), "others": others}
        return one, one

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.seen(), {}

    def step(self, action):
        self.steps += 1
        return self.seen(), [float(a) for a in action], False, False, {}


gymnasium.register("Crowd-v0", entry_point=Crowd)


class Others(Lights):
    """`Lights` with four others and their flags in place of the picture."""

    def __init__(self, num_envs=1, seed=0, device="cpu", flags=4):
        super().__init__(num_envs=num_envs, seed=seed, device=device)
        team = (num_envs, 2)
        parts = Composite(
            choice=Unbounded((*team, 1)),
            others=Unbounded((*team, 4, 2)),
            others_mask=Binary(flags, (*team, flags), dtype=torch.bool),
            shape=team,
        )
        agents = Composite(observation=parts, shape=team)
        self.observation_spec = Composite(agents=agents, shape=(num_envs,))

    def _see(self, choice):
        team = tuple(choice.shape[:2])
        self.light = torch.randint(4, team, generator=self.rng)
        flags = self.observation_spec["agents", "observation", "others_mask"].shape[-1]
        parts = {
            "choice": choice,
            "others": torch.rand(*team, 4, 2, generator=self.rng),
            "others_mask": torch.rand(*team, flags, generator=self.rng) < 0.5,
        }
        return TensorDict({"agents": {"observation": TensorDict(parts, team)}}, team[:1])
