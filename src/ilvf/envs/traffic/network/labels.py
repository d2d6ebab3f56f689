"""Labels beside the points of a picture that cover neither each other nor the points."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

ANGLES = (45, -45, 135, -135, 90, -90, 0, 180)  # [degrees], the preferred one first
DISTANCES = (5, 11, 19, 28, 38, 50, 64)  # [points] from the point; a far label has a line
NEAR = 12.0  # [points], up to which a label has no line
DOT = 3.0  # [points], half the side of the square that a point takes
MARGIN = np.array([-1, -1, 1, 1])  # [points] around labels: letters depend on the resolution
SLANT = 0.1  # a sine or cosine up to this centres a label on its point

Box = np.ndarray  # left, bottom, right, top [points]


def label_points(
    axes: Any, names: Sequence[str], points: Sequence[tuple[float, float]], size: float
) -> None:
    """Write names beside points, as near as there is room.

    Labels are placed one after the other. Where no place is free, the one with the least overlap is
    taken. What is in the picture must be there before, since the layout decides where points are.

    Args:
        axes: matplotlib's axes.
        names: of the points.
        points: (x, y) of each.
        size: of the letters [points].
    """
    from matplotlib.patheffects import withStroke
    from matplotlib.text import Text

    figure = axes.figure
    figure.draw_without_rendering()
    pixels = figure.dpi / 72  # of a typographic point
    centres = axes.transData.transform(np.array(points)) / pixels
    page = np.array([0.0, 0.0, *figure.bbox.size]) / pixels
    taken = np.concatenate([centres - DOT, centres + DOT], axis=1)  # [K, 4]
    for name, point, centre in zip(names, points, centres, strict=True):
        line = {"arrowstyle": "-", "color": "0.6", "lw": 0.6, "shrinkA": 0, "shrinkB": 0}
        offset = {"textcoords": "offset points", "arrowprops": line}
        label = axes.annotate(name, point, (0, 0), fontsize=size, zorder=4, **offset)
        label.set_path_effects([withStroke(linewidth=2, foreground="white")])
        label.set_in_layout(False)  # the layout, and with it every point, stays where it is
        extent = Text.get_window_extent(label)  # without the line
        width, height = np.array([extent.width, extent.height]) / pixels
        places = list(candidates(centre, width, height))
        costs = [cost(box, taken, page) for _, _, box in places]
        distance, angle, box = places[int(np.argmin(costs))]
        taken = np.concatenate([taken, [box + MARGIN]])
        move(label, distance, angle)


def candidates(
    centre: np.ndarray, width: float, height: float
) -> Iterator[tuple[float, float, Box]]:
    """(distance, angle, box of the label) of every place beside a point, near ones first."""
    for distance in DISTANCES:
        for angle in ANGLES:
            x, y = direction(angle)
            left = centre[0] + distance * x - width * share_before(x)
            bottom = centre[1] + distance * y - height * share_before(y)
            yield distance, angle, np.array([left, bottom, left + width, bottom + height])


def direction(angle: float) -> tuple[float, float]:
    """(cosine, sine) of an angle in degrees."""
    radians = np.deg2rad(angle)
    return float(np.cos(radians)), float(np.sin(radians))


def share_before(part: float) -> float:
    """Share of a label that is before its anchor, for the cosine or sine of its direction."""
    if abs(part) <= SLANT:
        return 0.5
    return 0.0 if part > 0 else 1.0


def cost(box: Box, taken: np.ndarray, page: Box) -> float:
    """Area of a box that others take or that is outside the page."""
    area = (box[2] - box[0]) * (box[3] - box[1])
    return float(overlap(box, taken).sum() + area - overlap(box, page[None]).sum())


def overlap(box: Box, others: np.ndarray) -> np.ndarray:
    """Area that a box shares with each of the others, `[K, 4]` → `[K]`."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[2:], others[:, 2:])
    return (high - low).clip(min=0).prod(-1)


def move(label: Any, distance: float, angle: float) -> None:
    """Move an annotation to a distance [points] and direction from its point."""
    x, y = direction(angle)
    label.xyann = (distance * x, distance * y)
    label.set_horizontalalignment({0.0: "left", 0.5: "center", 1.0: "right"}[share_before(x)])
    label.set_verticalalignment({0.0: "bottom", 0.5: "center", 1.0: "top"}[share_before(y)])
    label.arrow_patch.set_visible(distance > NEAR)
