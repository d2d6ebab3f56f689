"""The physics and geometry of MPE Encircle: functions with units."""

import math

import torch
from torch import Tensor

DT = 0.1  # [s]
DAMPING = 0.25  # fraction of the velocity that is lost in each step
FORCE = 5.0  # [N], on 1 kg
RADIUS = 0.7  # [m], wanted distance from the target
AGENT_RADIUS = 0.05  # [m], only for contacts with obstacles
CONTACT_FORCE = 100.0  # [N/m]
CONTACT_MARGIN = 1e-3  # [m]
DIRECTIONS = torch.tensor([[0.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.0, 1.0]])


def contact_force(position: Tensor, center: Tensor, radius: Tensor) -> Tensor:
    """Force of K discs on N points, away from the discs, as in MPE:

        f = CONTACT_FORCE · margin · softplus((AGENT_RADIUS + radius − distance) / margin)

    Args:
        position: of the points, `[B, N, 2]` [m].
        center: of the discs, `[B, K, 2]` [m].
        radius: of the discs, `[B, K]` [m].

    Returns:
        Sum over the discs, `[B, N, 2]` [N].
    """
    away = position.unsqueeze(2) - center.unsqueeze(1)  # [B, N, K, 2]
    distance = away.norm(dim=-1)
    overlap = (AGENT_RADIUS + radius.unsqueeze(1) - distance) / CONTACT_MARGIN
    softplus = torch.logaddexp(overlap, torch.zeros_like(overlap))
    push = CONTACT_FORCE * CONTACT_MARGIN * softplus / distance.clamp_min(1e-9)
    return (push.unsqueeze(-1) * away).sum(2)


def move(position: Tensor, velocity: Tensor, force: Tensor) -> tuple[Tensor, Tensor]:
    """One step of a mass of 1 kg:  v' = (1 − DAMPING) v + DT·f,  x' = x + DT·v'.

    Args:
        position, velocity, force: `[B, N, 2]` [m], [m/s], [N].

    Returns:
        (position, velocity) after the step. The new velocity moves the position.
    """
    velocity = (1 - DAMPING) * velocity + DT * force
    return position + DT * velocity, velocity


def wrap(angle: Tensor) -> Tensor:
    """An angle [rad] as the equal one in (−π, π]."""
    return math.pi - torch.remainder(math.pi - angle, 2 * math.pi)


def gap_errors(relative: Tensor, angle: str) -> Tensor:
    """Error of the angle from each agent to the next one on the ring.

    Args:
        relative: agent − target, `[B, N, 2]` [m].
        angle: `signed`: wrap(θ_{i+1} − θ_i − 2π/N); `unsigned`: |wrap(θ_{i+1} − θ_i)| − 2π/N.

    Returns:
        `[B, N]` [rad].
    """
    theta = torch.atan2(relative[..., 1], relative[..., 0])
    gap = theta.roll(-1, -1) - theta
    wanted = 2 * math.pi / theta.shape[-1]
    if angle == "signed":
        return wrap(gap - wanted)
    return wrap(gap).abs() - wanted
