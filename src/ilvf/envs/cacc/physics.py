"""The physics of CACC: functions with units, for B platoons of N vehicles."""

import functools
import math

import torch
from torch import Tensor

DT = 0.1  # [s]
HEADWAY, SPEED = 20.0, 15.0  # [m], [m/s], wanted
MAX_SPEED, MAX_ACCEL = 30.0, 2.5  # [m/s], [m/s²]
CRASH_HEADWAY = 1.0  # [m], below it
STOP_HEADWAY, GO_HEADWAY = 5.0, 35.0  # [m], where V(h) leaves 0 and reaches MAX_SPEED
ACCEL_WEIGHT = 0.1  # of u² in the reward
SOFT_HEADWAY = 10.0  # [m], below it the soft penalty
BRAKING = 299  # steps that the lead of slow-down takes to SPEED
GAINS = ((0.0, 0.5, 0.0, 0.5), (0.0, 0.0, 0.5, 0.5))  # α, β [1/s] of the four actions


def suitable_speed(headway: Tensor) -> Tensor:
    """V(h) = 15 (1 − cos π (h − 5)/30) [m/s], 0 up to 5 m and 30 from 35 m on."""
    angle = ((headway - STOP_HEADWAY) * (math.pi / (GO_HEADWAY - STOP_HEADWAY))).clamp_(0, math.pi)
    return 0.5 * MAX_SPEED * (1 - angle.cos_())


def accelerate(
    headway: Tensor, speed: Tensor, front: Tensor, alpha: Tensor, beta: Tensor
) -> tuple[Tensor, Tensor]:
    """(speed after one step, acceleration as it came out), both limited.

    headway [m], speed and front (the vehicle ahead) [m/s], alpha and beta [1/s], all [B, N] → [m/s], [m/s²]
    """
    wish = (alpha * (suitable_speed(headway) - speed)).addcmul_(beta, front - speed)
    after = torch.add(speed, wish.clamp_(-MAX_ACCEL, MAX_ACCEL), alpha=DT).clamp_(0, MAX_SPEED)
    return after, (after - speed) / DT


def ahead(lead: Tensor, speed: Tensor) -> Tensor:
    """Speed of the vehicle in front of each [m/s]: lead [B], speed [B, N] → [B, N]."""
    return torch.cat([lead.unsqueeze(-1), speed[:, :-1]], -1)


def lead_speed(start: Tensor, time: Tensor) -> Tensor:
    """v_0 [m/s]: from `start` [B] [m/s] evenly to 15 m/s within 299 steps, then 15; `time` [B] in steps."""
    return SPEED + (start - SPEED) * (1 - time / BRAKING).clamp_min(0)


@functools.cache
def units(device: torch.device) -> Tensor:
    """What the five numbers of a state are divided by."""
    return torch.tensor([SPEED, 5.0, 5.0, HEADWAY, MAX_ACCEL], device=device)


def features(headway: Tensor, speed: Tensor, accel: Tensor, front: Tensor) -> Tensor:
    """States [B, N, 5] of vehicles, from [m], [m/s], [m/s²], [m/s], all [B, N]."""
    closing = front - speed
    ahead_of_time = torch.add(headway - HEADWAY, closing, alpha=DT)
    raw = torch.stack(
        (speed - SPEED, closing, suitable_speed(headway) - speed, ahead_of_time, accel)
    )
    state = raw.movedim(0, -1).to(torch.float32, memory_format=torch.contiguous_format) / units(
        raw.device
    )
    state[..., 1:3].clamp_(-2, 2)
    return state
