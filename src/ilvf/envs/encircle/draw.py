"""Pictures of MPE Encircle: paths of the agents around the target."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ilvf.envs.animation import write_gif
from ilvf.envs.encircle.physics import RADIUS
from ilvf.envs.names import counted_from_1

SEES_COLOR = "C0"
REWARDED_COLOR = "C1"
DOT = 7  # size of an agent [points]
NUMBER = 5.5  # size of its number
MARGIN = 0.1  # [m] around what is drawn


def draw_paths(state: Tensor, sees_neighbors: Tensor, obstacle_radius: Sequence[float]) -> Any:
    """A matplotlib figure of N agents' paths around the target.

    Args:
        state: `[T, N, 6 + 2K]`; the last row is where the agents are now.
        sees_neighbors: bool `[N]`, True for odd-numbered agents.
        obstacle_radius: of the K obstacles [m].
    """
    scene = Scene(state, sees_neighbors, obstacle_radius)
    scene.show(len(state) - 1)
    return scene.figure


def animate(
    state: Tensor, sees_neighbors: Tensor, obstacle_radius: Sequence[float], path: Path | str
) -> None:
    """Write an episode as a GIF.

    Args:
        state, sees_neighbors, obstacle_radius: as in `draw_paths`.
        path: of the GIF.
    """
    write_gif(Scene(state, sees_neighbors, obstacle_radius), len(state) - 1, path)


class Scene:
    """A figure of one episode that can show any step of it.

    Args:
        state, sees_neighbors, obstacle_radius: as in `draw_paths`.

    Attributes:
        figure: of matplotlib.
        moving: artists that change from step to step.
    """

    def __init__(self, state: Tensor, sees_neighbors: Tensor, obstacle_radius: Sequence[float]):
        from matplotlib.figure import Figure

        self.position = state[..., 2:4].numpy()  # [T, N, 2]
        self.figure = Figure(figsize=(5, 5.5), layout="constrained")
        self.axes = self.figure.add_subplot(aspect="equal", xlabel="x [m]", ylabel="y [m]")
        self.title = self.figure.suptitle(" ", fontsize=10)
        self._draw_still(state[-1], obstacle_radius)
        colors = [SEES_COLOR if sees else REWARDED_COLOR for sees in sees_neighbors.tolist()]
        names = counted_from_1(len(colors))
        self.ring = self._line("-", color="0.8", lw=0.8)
        self.paths = [self._line("-", color=color, lw=0.7, alpha=0.5) for color in colors]
        self.dots = [self._line("o", color=color, ms=DOT, zorder=3) for color in colors]
        self.numbers = [self._number(name) for name in names]
        self.moving = [self.ring, *self.paths, *self.dots, *self.numbers, self.title]
        self._draw_legend()

    def _draw_still(self, last: Tensor, obstacle_radius: Sequence[float]) -> None:
        """Target, ring and obstacles; the states of agent 1 `[N, 6 + 2K]` have their places."""
        own = last[0, 2:4]
        target = (own + last[0, 4:6]).tolist()
        _circle(self.axes, target, RADIUS, linestyle=":", color="0.6", lw=1)
        for to_obstacle, radius in zip(last[0, 6:].view(-1, 2), obstacle_radius, strict=True):
            _circle(self.axes, (own + to_obstacle).tolist(), radius, color="0.4", lw=1.5)
        x, y = target
        self.axes.scatter(x, y, marker="*", s=120, color="C3", label="target")
        ring = [[x - RADIUS, y - RADIUS], [x + RADIUS, y + RADIUS]]
        places = np.concatenate([self.position.reshape(-1, 2), ring])
        left, low = places.min(0) - MARGIN
        right, high = places.max(0) + MARGIN
        self.axes.set(xlim=(left, right), ylim=(low, high))

    def _line(self, style: str, **options: Any) -> Any:
        return self.axes.plot([], [], style, **options)[0]

    def _number(self, name: str) -> Any:
        style: Any = {"ha": "center", "va": "center_baseline", "color": "white", "zorder": 4}
        return self.axes.text(0, 0, name, fontsize=NUMBER, **style)

    def _draw_legend(self) -> None:
        for color, label in (
            (SEES_COLOR, "odd: sees its neighbours"),
            (REWARDED_COLOR, "even: rewarded for the ring"),
        ):
            self._line("o", color=color, ms=DOT, label=label)
        self.figure.legend(loc="outside lower center", ncols=3, fontsize=8)

    def show(self, t: int) -> None:
        """Show step t, with the paths until then."""
        now = self.position[t]
        closed = np.concatenate([now, now[:1]])
        self.ring.set_data(closed[:, 0], closed[:, 1])
        for i, (path, dot, number) in enumerate(
            zip(self.paths, self.dots, self.numbers, strict=True)
        ):
            path.set_data(self.position[: t + 1, i, 0], self.position[: t + 1, i, 1])
            dot.set_data(now[i : i + 1, 0], now[i : i + 1, 1])
            number.set_position(now[i].tolist())
        self.title.set_text(f"step {t} of {len(self.position) - 1}")


def _circle(axes: Any, center: list[float], radius: float, **style: Any) -> None:
    angle = torch.linspace(0, 2 * math.pi, 100)
    axes.plot(center[0] + radius * angle.cos(), center[1] + radius * angle.sin(), **style)
