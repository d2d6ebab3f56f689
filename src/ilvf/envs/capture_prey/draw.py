"""Pictures of Predator Capture Prey: the grid, the paths of the agents, what they have reached and captured."""

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

ROLES = (("o", "C0", "perception: sees"), ("s", "C1", "action: captures"))
FRAME, PAUSE = 250, 1500  # [ms] of an animation's steps, and of its end


def draw(state: Tensor, prey: Tensor, dim: int) -> Any:
    """Paths of N agents and where they are at the end, from states `[T, N, 7]` and cells of the prey `[T, K, 2]`."""
    scene = Scene(state, prey, dim)
    scene.show(len(state) - 1)
    return scene.figure


def animate(state: Tensor, prey: Tensor, dim: int, path: Path | str) -> None:
    """The same step by step, as a GIF. What does not move is drawn once: a frame takes some milliseconds."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    scene, frames = Scene(state, prey, dim), []
    scene.figure.set_dpi(80)
    canvas = FigureCanvasAgg(scene.figure)
    for artist in scene.moving:
        artist.set_visible(False)
    canvas.draw()
    empty = canvas.copy_from_bbox(scene.figure.bbox)
    for t in range(len(state)):
        canvas.restore_region(empty)
        scene.show(t)
        for artist in scene.moving:
            artist.set_visible(True)
            scene.axes.draw_artist(artist)
        image = Image.frombytes("RGBA", canvas.get_width_height(), bytes(canvas.buffer_rgba()))
        frames.append(image.convert("P", palette=Image.Palette.ADAPTIVE))
    durations = [FRAME] * (len(frames) - 1) + [PAUSE]
    frames[0].save(
        path, format="GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0
    )


class Scene:
    """A figure of one episode that can show any step of it.

    Agents on the same cell lie around its middle, each at a place of its own.
    """

    def __init__(self, state: Tensor, prey: Tensor, dim: int):
        from matplotlib.figure import Figure

        n = state.shape[1]
        angle = 2 * math.pi * torch.arange(n) / n
        aside = torch.stack([angle.cos(), angle.sin()], -1)
        self.place, self.prey = state[..., :2] * (dim - 1) + 0.3 * aside, prey  # row, column
        self.colors = [ROLES[int(role)][1] for role in state[0, :, 2]]
        self.reached, self.captured = (state[..., k].bool().tolist() for k in (3, 4))
        self.figure = Figure(figsize=(5, 5.7))
        self.axes = _grid(self.figure, dim)
        self.title = self.figure.text(0.5, 0.98, "", ha="center", va="top", fontsize=10)
        _legend(self.figure, self.axes)

        def line(style: str, **options: Any) -> Any:
            return self.axes.plot([], [], style, **options)[0]

        self.trails = [line("-", color=color, lw=0.8, alpha=0.5) for color in self.colors]
        self.stars = [line("*", color="C3", ms=20, alpha=0.6) for _ in range(prey.shape[1])]
        self.ways = [line(":", color="C3", lw=1) for _ in self.stars]
        self.marks = [line(ROLES[int(role)][0], ms=6.5, mew=1.5) for role in state[0, :, 2]]
        self.moving = [*self.trails, *self.ways, *self.stars, *self.marks, self.title]

    def show(self, t: int) -> None:
        for k, (way, star) in enumerate(zip(self.ways, self.stars, strict=True)):
            way.set_data(self.prey[: t + 1, k, 1], self.prey[: t + 1, k, 0])
            star.set_data(self.prey[t, k, 1:], self.prey[t, k, :1])
        for i, (trail, mark) in enumerate(zip(self.trails, self.marks, strict=True)):
            trail.set_data(self.place[: t + 1, i, 1], self.place[: t + 1, i, 0])
            mark.set_data(self.place[t, i, 1:], self.place[t, i, :1])
            mark.set_markerfacecolor(self.colors[i] if self.reached[t][i] else "white")
            mark.set_markeredgecolor("black" if self.captured[t][i] else self.colors[i])
        there, captures = sum(self.reached[t]), sum(self.captured[t])
        self.title.set_text(f"step {t}: {there} of {len(self.marks)} there, {captures} captured")


def _grid(figure: Any, dim: int) -> Any:
    axes = figure.add_axes((0.1, 0.2, 0.87, 0.74), aspect="equal", xlabel="column", ylabel="row")
    ticks = range(0, dim, math.ceil(dim / 10))
    axes.set(xlim=(-0.5, dim - 0.5), ylim=(dim - 0.5, -0.5), xticks=ticks, yticks=ticks)
    edges = [k - 0.5 for k in range(1, dim)]
    axes.hlines(edges, -0.5, dim - 0.5, color="0.9", lw=0.8, zorder=0)
    axes.vlines(edges, -0.5, dim - 0.5, color="0.9", lw=0.8, zorder=0)
    return axes


def _legend(figure: Any, axes: Any) -> None:
    for shape, color, label in ROLES:
        axes.plot([], [], shape, color=color, mfc="white", ms=7, mew=1.5, label=label)
    axes.plot([], [], "o", color="0.4", ms=7, label="filled: has reached a prey")
    axes.plot(
        [], [], "s", color="0.4", mec="black", ms=7, mew=1.5, label="black edge: has captured"
    )
    axes.plot([], [], "*", color="C3", ms=12, alpha=0.6, label="prey")
    figure.legend(loc="lower center", ncols=2, fontsize=8, frameon=False)
