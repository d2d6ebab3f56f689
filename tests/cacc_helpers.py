"""Shared by the tests of CACC: platoons with given headways and speeds, and collisions."""

import numpy as np
import torch

from env_helpers import start_in
from ilvf.envs import CACC

PENALTY = 1000.0  # G, of a collision
HOLD = 0  # the action without acceleration


def begin(env, headway, speed):
    """The first tensordict of an episode with these headways [m] and speeds [m/s] `[B, N]`."""
    headway = torch.as_tensor(np.array(headway), dtype=torch.float64)
    speed = torch.as_tensor(np.array(speed), dtype=torch.float64)
    return start_in(env, env.platoon(headway, speed))


def step(env, td, action):
    """The next tensordict after `action`, `[B, N]` or one for all vehicles; no resets."""
    shape = (*env.batch_size, env.n_agents)
    action = torch.as_tensor(action).long().expand(shape).clone()
    return env.step(td.set(("agents", "action"), action))["next"]


def platoon_before_collision(rule="reference", after=7, n=2, **options):
    """(env, tensordict) of a platoon that collides after `after` steps of the action `HOLD`.

    The last vehicle closes 0.5 m a step; its headway after step k is 0.75 + 0.5 (after − k).
    """
    env = CACC(n_agents=n, collision_rule=rule, num_envs=1, seed=0, **options)
    headway = [20.0] * (n - 1) + [0.75 + 0.5 * after]
    speed = [15.0] * (n - 1) + [20.0]
    return env, begin(env, [headway], [speed])


def hold(env, td, steps):
    """Play `HOLD` until the first end: (rewards `[T, N]`, end, last tensordict).

    The end is (step, "terminated" or "truncated"), or None.
    """
    rewards = []
    for t in range(1, steps + 1):
        td = step(env, td, HOLD)
        rewards.append(td["agents", "reward"][0, :, 0])
        if td["done"].item():
            kind = "terminated" if td["terminated"].item() else "truncated"
            return torch.stack(rewards), (t, kind), td
    return torch.stack(rewards), None, td
