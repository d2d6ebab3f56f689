"""Names of curves at their ends, moved apart where they would overlap."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

GAP = 0.06  # least distance of two labels, as a part of the axes' height
LEADER = (1.005, 1.03)  # x of the thin line from the end of the curve
SAMPLE = (1.03, 1.09)  # x of the line in the style of the curve
TEXT = 1.1  # x of the names


def label_ends(axes: Axes, ends: Mapping[str, float], styles: Mapping[str, Any]) -> None:
    """Write each name to the right of the axes, joined to the end of its curve.

    Before the name is a short line in the colour and the style of the curve; the name is black.

    Args:
        ends: name → last value of the curve.
        styles: name → keyword arguments of the curve's line.
    """
    bottom, top = axes.get_ylim()
    names = sorted(ends, key=lambda name: ends[name])
    heights = [(ends[name] - bottom) / (top - bottom) for name in names]
    for name, height, place in zip(names, heights, spread(heights, GAP), strict=True):
        style = styles[name]
        draw_outside(axes, LEADER, (height, place), color=style["color"], linewidth=0.8)
        draw_outside(axes, SAMPLE, (place, place), **style)
        text = axes.text(TEXT, place, name, fontsize=8, va="center", transform=axes.transAxes)
        text.set_parse_math(False)
    axes.set_ylim(bottom, top)


def draw_outside(axes: Axes, x: Sequence[float], y: Sequence[float], **style: Any) -> None:
    """Draw a line beside the axes, in parts of their width and height."""
    line = Line2D(x, y, transform=axes.transAxes, clip_on=False, **style)
    axes.add_artist(line)


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Ascending heights moved apart to at least `gap`, as little as possible.

    They stay within 0 and 1 where they fit. Neighbours that are too close become a block around
    the mean of their heights; blocks that meet are joined.
    """
    blocks: list[list[float]] = []  # the heights that each block is to have
    for height in heights:
        blocks.append([height])
        while len(blocks) > 1 and bottom_of(blocks[-1], gap) < top_of(blocks[-2], gap) + gap:
            last = blocks.pop()
            blocks[-1] += last
    placed = []
    for block in blocks:
        placed += [bottom_of(block, gap) + gap * number for number in range(len(block))]
    return within(placed, gap)


def bottom_of(block: Sequence[float], gap: float) -> float:
    """The lowest place of a block, centred at the mean of its heights."""
    return sum(block) / len(block) - gap * (len(block) - 1) / 2


def top_of(block: Sequence[float], gap: float) -> float:
    """The highest place of a block."""
    return bottom_of(block, gap) + gap * (len(block) - 1)


def within(places: Sequence[float], gap: float) -> list[float]:
    """Ascending places pushed up from 0, then down from 1."""
    found = list(places)
    limit = 0.0
    for number, place in enumerate(found):
        found[number] = max(place, limit)
        limit = found[number] + gap
    limit = 1.0
    for number in reversed(range(len(found))):
        found[number] = min(found[number], limit)
        limit = found[number] - gap
    return found
