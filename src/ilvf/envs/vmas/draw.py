"""Pictures of a VMAS scenario: all its bodies, and the paths of the agents."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ilvf.envs.animation import write_gif

MARGIN = 0.2  # [m] around what moves
LINE = 0.02  # width of a line [m]; VMAS counts it in pixels


def draw_entities(entities: Sequence[Any], places: Tensor) -> Any:
    """A matplotlib figure of E bodies where they are in the end.

    Args:
        entities: of VMAS's world; agents have paths.
        places: x [m], y [m] and angle [rad], `[T, E, 3]`.
    """
    scene = Scene(entities, places)
    scene.show(len(places) - 1)
    return scene.figure


def animate(entities: Sequence[Any], places: Tensor, path: Path | str) -> None:
    """Write an episode as a GIF.

    Args:
        entities, places: as in `draw_entities`.
        path: of the GIF.
    """
    write_gif(Scene(entities, places), len(places) - 1, path)


class Scene:
    """A figure of one episode that can show any step of it.

    Args:
        entities, places: as in `draw_entities`.

    Attributes:
        figure: of matplotlib.
        moving: artists that change from step to step.
    """

    def __init__(self, entities: Sequence[Any], places: Tensor):
        from matplotlib.figure import Figure
        from vmas.simulator.core import Agent

        self.places = places.numpy()  # [T, E, 3]
        self.figure = Figure(figsize=(5, 5), layout="constrained")
        self.axes = self.figure.add_subplot(aspect="equal", xlabel="x [m]", ylabel="y [m]")
        self.title = self.figure.suptitle(" ", fontsize=10)
        self.bodies = []
        self.paths: dict[int, Any] = {}  # number of an entity that is an agent → its path
        self.names: dict[int, Any] = {}
        for number, entity in enumerate(entities):
            is_agent = isinstance(entity, Agent)
            body = _body(entity.shape, _colour(entity), is_agent)
            self.bodies.append(self.axes.add_patch(body))
            if is_agent:
                style: Any = {"ha": "center", "va": "center", "fontsize": 7}
                name = str(len(self.names))
                self.names[number] = self.axes.text(0, 0, name, **style)
                colour = _colour(entity)
                self.paths[number] = self.axes.plot([], [], color=colour, lw=0.8, alpha=0.6)[0]
        left, low = self.places[..., :2].min((0, 1)) - MARGIN
        right, high = self.places[..., :2].max((0, 1)) + MARGIN
        self.axes.set(xlim=(left, right), ylim=(low, high))
        self.moving = [*self.bodies, *self.paths.values(), *self.names.values(), self.title]

    def show(self, t: int) -> None:
        """Show step t, with the paths until then."""
        for number, body in enumerate(self.bodies):
            _move(body, self.places[t, number].tolist(), self.axes.transData)
        for number, path in self.paths.items():
            path.set_data(*self.places[: t + 1, number, :2].T)
            self.names[number].set_position(self.places[t, number, :2])
        self.title.set_text(f"step {t} of {len(self.places) - 1}")


def _move(body: Any, place: Sequence[float], data: Any) -> None:
    """Turn and move a patch that was drawn at the origin."""
    from matplotlib.transforms import Affine2D

    x, y, angle = place
    body.set_transform(Affine2D().rotate(angle).translate(x, y) + data)


def _body(shape: Any, colour: list[float], is_agent: bool) -> Any:
    """A patch in the shape of a body, at the origin: agents are filled more strongly."""
    from matplotlib.patches import Circle, Polygon
    from vmas.simulator.core import Line

    style = dict(facecolor=colour, edgecolor="0.3", lw=0.8, alpha=0.9 if is_agent else 0.5)
    if hasattr(shape, "radius"):
        return Circle((0, 0), shape.radius, **style)
    half_length = shape.length / 2
    half_width = (LINE if isinstance(shape, Line) else shape.width) / 2
    signs = torch.tensor([[1, 1], [1, -1], [-1, -1], [-1, 1]])
    corners = signs * torch.tensor([half_length, half_width])
    return Polygon(corners.numpy(), closed=True, **style)


def _colour(entity: Any) -> list[float]:
    """Red, green and blue; those of the first copy, if they differ."""
    colour = torch.as_tensor(entity.color, dtype=torch.float32).cpu()
    return colour.reshape(-1, colour.shape[-1])[0, :3].clamp(0, 1).tolist()
