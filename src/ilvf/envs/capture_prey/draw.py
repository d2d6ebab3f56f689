"""Pictures of Predator Capture Prey: the grid, the agents' paths, who has reached and captured."""

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ilvf.envs.animation import write_gif

ROLES = (("o", "C0", "perception: sees"), ("s", "C1", "action: captures"))  # marker, color, label
PREY_COLOR = "C3"


def draw(state: Tensor, prey: Tensor, dim: int) -> Any:
    """A matplotlib figure of an episode: paths of N agents, and where they are at the end.

    Args:
        state: `[T, N, 7]`.
        prey: cells of the prey, `[T, K, 2]`.
        dim: side of the grid.
    """
    scene = Scene(state, prey, dim)
    scene.show(len(state) - 1)
    return scene.figure


def animate(state: Tensor, prey: Tensor, dim: int, path: Path | str) -> None:
    """Write an episode as a GIF.

    Args:
        state, prey, dim: as in `draw`.
        path: of the GIF.
    """
    write_gif(Scene(state, prey, dim), len(state) - 1, path)


class Scene:
    """A figure of one episode that can show any step of it.

    Agents on the same cell are drawn beside each other, around its middle.

    Args:
        state: `[T, N, 7]`.
        prey: cells of the prey, `[T, K, 2]`.
        dim: side of the grid.

    Attributes:
        figure, axes: of matplotlib.
        moving: artists that change from step to step.
    """

    def __init__(self, state: Tensor, prey: Tensor, dim: int):
        from matplotlib.figure import Figure

        n = state.shape[1]
        angle = 2 * math.pi * torch.arange(n) / n
        beside = torch.stack([angle.cos(), angle.sin()], -1)
        self.place = state[..., :2] * (dim - 1) + 0.3 * beside  # row, column
        self.prey = prey
        self.reached = state[..., 3].bool().tolist()
        self.captured = state[..., 4].bool().tolist()
        roles = [ROLES[int(role)] for role in state[0, :, 2]]
        self.colors = [color for _, color, _ in roles]
        self.figure = Figure(figsize=(5, 5.7))
        self.axes = _grid(self.figure, dim)
        self.title = self.figure.text(0.5, 0.98, "", ha="center", va="top", fontsize=10)
        _legend(self.figure, self.axes)
        prey_style = {"color": PREY_COLOR}
        self.paths = [self._line("-", color=color, lw=0.8, alpha=0.5) for color in self.colors]
        self.stars = [self._line("*", ms=20, alpha=0.6, **prey_style) for _ in prey[0]]
        self.prey_paths = [self._line(":", lw=1, **prey_style) for _ in prey[0]]
        self.marks = [self._line(marker, ms=6.5, mew=1.5) for marker, _, _ in roles]
        self.moving = [*self.paths, *self.prey_paths, *self.stars, *self.marks, self.title]

    def _line(self, style: str, **options: Any) -> Any:
        return self.axes.plot([], [], style, **options)[0]

    def show(self, t: int) -> None:
        """Show step t, with the paths until then."""
        for k, (path, star) in enumerate(zip(self.prey_paths, self.stars, strict=True)):
            _set_path(path, star, self.prey[: t + 1, k])
        for i, (path, mark) in enumerate(zip(self.paths, self.marks, strict=True)):
            _set_path(path, mark, self.place[: t + 1, i])
            mark.set_markerfacecolor(self.colors[i] if self.reached[t][i] else "white")
            mark.set_markeredgecolor("black" if self.captured[t][i] else self.colors[i])
        reached = sum(self.reached[t])
        captured = sum(self.captured[t])
        n = len(self.marks)
        self.title.set_text(f"step {t}: {reached} of {n} have reached, {captured} captured")


def _set_path(path: Any, mark: Any, cells: Tensor) -> None:
    """A line through (row, column) cells `[T, 2]`, and a mark on the last one."""
    row, column = cells.unbind(-1)
    path.set_data(column, row)
    mark.set_data(column[-1:], row[-1:])


def _grid(figure: Any, dim: int) -> Any:
    axes = figure.add_axes((0.1, 0.2, 0.87, 0.74), aspect="equal", xlabel="column", ylabel="row")
    ticks = range(0, dim, math.ceil(dim / 10))
    axes.set(xlim=(-0.5, dim - 0.5), ylim=(dim - 0.5, -0.5), xticks=ticks, yticks=ticks)
    edges = [k - 0.5 for k in range(1, dim)]
    axes.hlines(edges, -0.5, dim - 0.5, color="0.9", lw=0.8, zorder=0)
    axes.vlines(edges, -0.5, dim - 0.5, color="0.9", lw=0.8, zorder=0)
    return axes


def _legend(figure: Any, axes: Any) -> None:
    for marker, color, label in ROLES:
        axes.plot([], [], marker, color=color, mfc="white", ms=7, mew=1.5, label=label)
    axes.plot([], [], "o", color="0.4", ms=7, label="filled: has reached a prey")
    edge = {"mec": "black", "mew": 1.5}
    axes.plot([], [], "s", color="0.4", ms=7, label="black edge: has captured", **edge)
    axes.plot([], [], "*", color=PREY_COLOR, ms=12, alpha=0.6, label="prey")
    figure.legend(loc="lower center", ncols=2, fontsize=8, frameon=False)
