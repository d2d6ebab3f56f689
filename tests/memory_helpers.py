"""A game that only a memory solves: the cue of the first step decides the last action."""

import torch

from lone_agents import AGENTS, LoneAgents

HORIZON = 5


class Cue(LoneAgents):
    """Each agent sees a bit in the first step, and is rewarded if its last action equals the bit.

    The observation is the bit, one-hot, in the first step, and whether it is the last step. Without
    a memory the best share of right actions is ½. The state is the observation.
    """

    n_actions = 2
    observation_dim = 3
    state_dim = 3

    def __init__(self, *, horizon=HORIZON, **options):
        super().__init__(horizon=horizon, **options)

    def initial(self):
        shape = (*self.batch_size, AGENTS)
        cue = torch.randint(2, shape, generator=self.rng, device=self.device)
        zero = torch.zeros(shape, device=self.device)
        return {"cue": cue, "right": zero, "clock": zero.long()}

    def advance(self, world, action):
        clock = world["clock"] + 1
        right = (action == world["cue"]) & (clock == self.horizon)
        return {**world, "clock": clock, "right": right.float()}

    def observe(self, world):
        first = (world["clock"] == 0).unsqueeze(-1)
        last = (world["clock"] == self.horizon - 1).unsqueeze(-1)
        shown = torch.nn.functional.one_hot(world["cue"], 2) * first
        seen = torch.cat([shown, last], -1).float()
        return seen, seen

    def reward(self, world):
        return world["right"]


def staggered(**options):
    """`Cue` whose first episodes are at different steps, so that few end at once."""
    env = Cue(**options)
    env.reset()
    state = env.get_state()
    clock = torch.arange(env.batch_size[0]) % env.horizon
    per_agent = clock.unsqueeze(-1).expand_as(state["clock"])
    env.set_state({**state, "clock": per_agent, "step": clock})
    return env
