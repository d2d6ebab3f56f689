"""The physics of CACC: functions with units, for B platoons of N vehicles."""

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

DT = 0.1  # [s]
MAX_SPEED = 30.0  # [m/s]
MAX_ACCEL = 2.5  # [m/s²]
CRASH_HEADWAY = 1.0  # [m], a smaller headway is a collision
STOP_HEADWAY = 5.0  # [m], up to which V(h) is 0
GO_HEADWAY = 35.0  # [m], from which on V(h) is MAX_SPEED
RELATIVE_SPEED = 5.0  # [m/s], unit of relative speeds in a state
BRAKING = 299  # steps in which the lead of slow-down brakes to the wanted speed
GAINS = ((0.0, 0.5, 0.0, 0.5), (0.0, 0.0, 0.5, 0.5))  # α and β [1/s] of the four actions


@dataclass(frozen=True)
class Targets:
    """What every vehicle wants.

    Attributes:
        headway: h* [m].
        speed: v* [m/s], also that of the lead.
    """

    headway: float
    speed: float


def suitable_speed(headway: Tensor) -> Tensor:
    """V(h) = 15 (1 − cos(π (h − 5) / 30)) [m/s], 0 up to 5 m and 30 from 35 m on."""
    phase = (headway - STOP_HEADWAY) * (math.pi / (GO_HEADWAY - STOP_HEADWAY))
    return 0.5 * MAX_SPEED * (1 - phase.clamp_(0, math.pi).cos_())


def accelerate(
    headway: Tensor, speed: Tensor, front: Tensor, alpha: Tensor, beta: Tensor
) -> tuple[Tensor, Tensor]:
    """One step of  u = α (V(h) − v) + β (v_front − v), with limits on u and v.

    Args:
        headway: `[B, N]` [m].
        speed, front: of the vehicles and of those in front, `[B, N]` [m/s].
        alpha, beta: gains, `[B, N]` [1/s].

    Returns:
        (speed after the step [m/s], acceleration that remains after both limits [m/s²]).
    """
    wish = (alpha * (suitable_speed(headway) - speed)).addcmul_(beta, front - speed)
    after = torch.add(speed, wish.clamp_(-MAX_ACCEL, MAX_ACCEL), alpha=DT).clamp_(0, MAX_SPEED)
    return after, (after - speed) / DT


def speed_in_front(lead: Tensor, speed: Tensor) -> Tensor:
    """Speed of the vehicle in front of each [m/s]: lead `[B]`, speed `[B, N]` → `[B, N]`."""
    return torch.cat([lead.unsqueeze(-1), speed[:, :-1]], -1)


def lead_speed(start: Tensor, time: Tensor, target: float) -> Tensor:
    """Speed of the lead vehicle: from `start` evenly to `target` within 299 steps, then `target`.

    Args:
        start: `[B]` [m/s].
        time: `[B]`, steps since the start.
        target: v* [m/s].

    Returns:
        `[B]` [m/s], in the precision of `start`.
    """
    remaining = 1 - time.to(start.dtype) / BRAKING  # an integer divided would be float32
    return target + (start - target) * remaining.clamp_min(0)


@functools.cache
def state_units(targets: Targets, device: torch.device) -> Tensor:
    """Units of the five numbers of a state."""
    units = [targets.speed, RELATIVE_SPEED, RELATIVE_SPEED, targets.headway, MAX_ACCEL]
    return torch.tensor(units, device=device)


def states(
    headway: Tensor, speed: Tensor, accel: Tensor, front: Tensor, targets: Targets
) -> Tensor:
    """The states `[B, N, 5]` of vehicles, float32.

    Args:
        headway: `[B, N]` [m].
        speed, front: of the vehicles and of those in front, `[B, N]` [m/s].
        accel: `[B, N]` [m/s²].
        targets: h* and v*.
    """
    closing = front - speed
    headway_ahead = torch.add(headway - targets.headway, closing, alpha=DT)  # 0.1 s ahead
    numbers = (
        speed - targets.speed,
        closing,
        suitable_speed(headway) - speed,
        headway_ahead,
        accel,
    )
    raw = torch.stack(numbers).movedim(0, -1)
    raw = raw.to(torch.float32, memory_format=torch.contiguous_format)
    state = raw / state_units(targets, raw.device)
    state[..., 1:3].clamp_(-2, 2)
    return state
