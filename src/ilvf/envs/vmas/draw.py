"""The picture of a VMAS scenario: all its bodies, and the paths of the agents."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

MARGIN = 0.2  # [m] around what moves


def draw_entities(entities: Sequence[Any], places: Tensor) -> Any:
    """A matplotlib figure of E bodies where they are in the end.

    Args:
        entities: of VMAS's world; agents have paths.
        places: x [m], y [m] and angle [rad], `[T, E, 3]`.
    """
    from matplotlib.figure import Figure
    from vmas.simulator.core import Agent

    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot(aspect="equal", xlabel="x [m]", ylabel="y [m]")
    number = 0
    for entity, path in zip(entities, places.unbind(1), strict=True):
        is_agent = isinstance(entity, Agent)
        axes.add_patch(_body(entity.shape, path[-1].tolist(), _colour(entity), is_agent))
        if is_agent:
            axes.plot(path[:, 0], path[:, 1], color=_colour(entity), lw=0.8, alpha=0.6)
            x, y, _ = path[-1].tolist()
            axes.annotate(str(number), (x, y), ha="center", va="center", fontsize=7)
            number += 1
    left, low = (places[..., :2].amin((0, 1)) - MARGIN).tolist()
    right, high = (places[..., :2].amax((0, 1)) + MARGIN).tolist()
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)
    return figure


def _body(shape: Any, place: list[float], colour: list[float], is_agent: bool) -> Any:
    """A patch in the shape of a body: agents are filled more strongly."""
    from matplotlib.patches import Circle, Polygon

    style = dict(facecolor=colour, edgecolor="0.3", lw=0.8, alpha=0.9 if is_agent else 0.5)
    x, y, angle = place
    if hasattr(shape, "radius"):
        return Circle((x, y), shape.radius, **style)
    half_length = shape.length / 2
    half_width = getattr(shape, "width", 0.02) / 2
    signs = torch.tensor([[1, 1], [1, -1], [-1, -1], [-1, 1]])
    corners = signs * torch.tensor([half_length, half_width])
    turn = [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    corners = corners @ torch.tensor(turn) + torch.tensor([x, y])
    return Polygon(corners.numpy(), closed=True, **style)


def _colour(entity: Any) -> list[float]:
    """Red, green and blue; those of the first copy, if they differ."""
    colour = torch.as_tensor(entity.color, dtype=torch.float32).cpu()
    return colour.reshape(-1, colour.shape[-1])[0, :3].clamp(0, 1).tolist()
