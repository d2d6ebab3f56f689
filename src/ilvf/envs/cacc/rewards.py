"""Rewards of CACC and the statistics of an episode.

`squares` are the four squared errors (h − h*)², (v − v*)², u² and jerk², in this order.
"""

import torch
from torch import Tensor

from ilvf.envs.base import World
from ilvf.envs.cacc.physics import DT, Targets

ACCEL_WEIGHT = 0.1  # of u²
SOFT_HEADWAY = 10.0  # [m], the soft penalty starts below it
BOUND = {"catch-up": 24.0, "slow-down": 302.4}  # least mean cost, see `has_bound`
ERRORS = ("headway_error", "speed_error", "acceleration", "jerk")


def squared_errors(world: World, accel_before: Tensor, targets: Targets) -> Tensor:
    """Squared errors `[4, B, N]` after a step, from the acceleration before it [m/s²]."""
    accel = world["accel"]
    jerk = (accel - accel_before) / DT
    errors = (world["headway"] - targets.headway, world["speed"] - targets.speed, accel, jerk)
    return torch.stack(errors).float().square_()


def driving_rewards(squares: Tensor, headway: Tensor, soft_penalty: float) -> Tensor:
    """−(h − h*)² − (v − v*)² − 0.1 u² − soft_penalty · min(h − 10, 0)².

    Args:
        squares: `[4, B, N]`.
        headway: `[B, N]` [m].
        soft_penalty: weight; 0 outside training.

    Returns:
        Rewards without collisions, `[B, N]`.
    """
    reward = -_cost(*squares[:3])
    if soft_penalty:
        reward -= soft_penalty * (headway - SOFT_HEADWAY).clamp_max_(0).square_()
    return reward


def _cost(headway: Tensor, speed: Tensor, accel: Tensor) -> Tensor:
    """Weighted sum of three squared errors."""
    return headway + speed + ACCEL_WEIGHT * accel


def has_bound(n_agents: int, horizon: int, targets: Targets) -> bool:
    """Is there a lower bound of the cost?

    It was computed for 8 vehicles, 600 steps, 20 m and 15 m/s.
    """
    return (n_agents, horizon, targets) == (8, 600, Targets(20.0, 15.0))


def episode_statistics(world: World, *, horizon: int, penalty: float) -> dict[str, Tensor]:
    """Statistics of the episode so far, `[B]` each; 0 before the first step.

    Args:
        world: with `squares` `[B, 4]`, the sums over the steps without a collision of the mean
            over vehicles, and `safe` `[B]`, the number of these steps.
        horizon: steps of 0.1 s in an episode.
        penalty: cost of a vehicle and step after a collision.
    """
    n_agents = world["headway"].shape[-1]
    mean = world["squares"] / world["safe"].clamp_min(1).unsqueeze(-1)
    errors = dict(zip(ERRORS, mean.sqrt().unbind(-1), strict=True))
    driving_cost = n_agents * _cost(*mean[:, :3].unbind(-1))
    safe_share = (world["safe"] / horizon).clamp_max(1)
    collision_cost = safe_share * driving_cost + (1 - safe_share) * n_agents * penalty
    return {
        **errors,
        "min_headway": world["least"].float(),
        "collision": world["collided"].float(),
        "cost": torch.where(world["collided"], collision_cost, driving_cost),
    }
