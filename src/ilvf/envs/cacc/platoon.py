"""The world of CACC: B platoons of N vehicles, and how they move in a step of 0.1 s.

Vehicles are float64: in float32 a headway is off by 3e-5 of itself after 600 steps.
"""

import torch
from torch import Tensor

from ilvf.envs.base import World
from ilvf.envs.cacc.physics import CRASH_HEADWAY, DT, accelerate, lead_speed, speed_in_front


def new_platoon(headway: Tensor, speed: Tensor, lead: Tensor) -> World:
    """The world at the start of an episode.

    Args:
        headway: `[B, N]` [m], float64.
        speed: `[B, N]` [m/s], float64.
        lead: speed of the lead vehicle, `[B]` [m/s], float64.
    """
    zeros = torch.zeros_like(headway)
    zeros_32 = torch.zeros_like(headway, dtype=torch.float32)
    return {
        "headway": headway,
        "speed": speed,
        "accel": zeros,
        "start": lead,  # speed of the lead vehicle at the start
        "lead": lead,  # its speed now
        "time": zeros[:, 0].long(),  # steps of 0.1 s
        "collided": zeros[:, 0].bool(),
        "safe": zeros_32[:, 0],  # steps without a collision
        "squares": zeros_32[:, :1].repeat(1, 4),  # sums over these steps, see `rewards`
        "least": headway.amin(-1),  # smallest headway so far
        "reward": zeros_32,
    }


def drive(world: World, alpha: Tensor, beta: Tensor, target_speed: float) -> World:
    """The world 0.1 s later, without its rewards; a platoon with a collision stands still.

    Args:
        alpha, beta: gains of the actions, `[B, N]` [1/s], float64.
        target_speed: v* [m/s], of the lead in the end.
    """
    time = world["time"] + 1
    lead = lead_speed(world["start"], time, target_speed)
    front = speed_in_front(world["lead"], world["speed"])
    speed, accel = accelerate(world["headway"], world["speed"], front, alpha, beta)
    front_after = speed_in_front(lead, speed)
    headway = world["headway"] + 0.5 * DT * (front + front_after - world["speed"] - speed)
    standing = world["collided"].unsqueeze(-1)
    headway = torch.where(standing, world["headway"], headway)
    closest = headway.amin(-1)
    return {
        **world,
        "headway": headway,
        "speed": torch.where(standing, world["speed"], speed),
        "accel": torch.where(standing, world["accel"], accel),
        "time": time,
        "lead": lead,
        "least": torch.minimum(world["least"], closest),
        "collided": closest < CRASH_HEADWAY,
    }
