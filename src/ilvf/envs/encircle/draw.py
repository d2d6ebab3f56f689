"""The picture of MPE Encircle: paths of the agents around the target."""

import math
from typing import Any

import torch
from torch import Tensor

from ilvf.envs.encircle.physics import RADIUS

SEES_COLOR = "C0"
REWARDED_COLOR = "C1"


def draw_paths(state: Tensor, sees_neighbors: Tensor, obstacle_radius: list[float]) -> Any:
    """A matplotlib figure of N agents' paths around the target.

    Args:
        state: `[T, N, 6 + 2K]`; the last row is where the agents are now.
        sees_neighbors: bool `[N]`, True for odd-numbered agents.
        obstacle_radius: of the K obstacles [m].
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5.3), layout="constrained")
    axes = figure.add_subplot(aspect="equal", xlabel="x [m]", ylabel="y [m]")
    position = state[..., 2:4]
    own = state[-1, 0, 2:4]  # agent 1, relative to which its state has target and obstacles
    target = (own + state[-1, 0, 4:6]).tolist()
    to_obstacles = state[-1, 0, 6:]
    _circle(axes, target, RADIUS, linestyle=":", color="0.6", lw=1)
    for to_obstacle, radius in zip(to_obstacles.view(-1, 2), obstacle_radius, strict=True):
        _circle(axes, (own + to_obstacle).tolist(), radius, color="0.4", lw=1.5)
    ring = torch.cat([position[-1], position[-1, :1]])  # closed
    axes.plot(ring[:, 0], ring[:, 1], color="0.8", lw=0.8)
    for i, sees in enumerate(sees_neighbors.tolist()):
        color = SEES_COLOR if sees else REWARDED_COLOR
        axes.plot(position[:, i, 0], position[:, i, 1], color=color, lw=0.7, alpha=0.5)
    for rows, color, label in (
        (sees_neighbors, SEES_COLOR, "odd: sees its neighbours"),
        (~sees_neighbors, REWARDED_COLOR, "even: rewarded for the ring"),
    ):
        x, y = position[-1, rows].unbind(-1)
        axes.scatter(x, y, color=color, s=36, zorder=3, label=label)
    axes.scatter(target[0], target[1], marker="*", s=120, color="C3", zorder=3, label="target")
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    return figure


def _circle(axes: Any, center: list[float], radius: float, **style: Any) -> None:
    angle = torch.linspace(0, 2 * math.pi, 100)
    axes.plot(center[0] + radius * angle.cos(), center[1] + radius * angle.sin(), **style)
