"""Pictures of influence: every one has the agent that acts in the row, whose return in the column.

All pictures of the library that show an influence matrix are drawn here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ilvf.envs.names import AgentNames, numbered

SMALLEST, LARGEST = 2.5, 4.6  # side of a matrix [inches]
PER_AGENT = 0.11  # [inches], where the side is between them
MOST_NAMES = 40  # beside a matrix; of more agents every second, third, ... is named
LETTER = 0.62  # width of a letter ÷ its size
POINTS = 72  # of an inch
NAME_SIZES = (5.0, 8.0)  # smallest and largest [points]


@dataclass(frozen=True)
class Panel:
    """A matrix and how it is drawn.

    Attributes:
        matrix: `[N, N]`, row = agent whose action it is, column = agent whose return it moves.
        title: what it is.
        top: value of the last colour; the first one is 0.
        colours: a colour map.
        unit: beside the colour bar.
        words: of a matrix of categories 0, 1, ...: what each of them is called.
        dots: bool `[N, N]`, pairs that get a dot.
        agents: names of the N agents; None numbers them from 0.
    """

    matrix: Tensor
    title: str
    top: float = 1.0
    colours: Any = "viridis"
    unit: str = ""
    words: tuple[str, ...] = ()
    dots: Tensor | None = None
    agents: AgentNames | None = None

    @property
    def scale(self) -> tuple[Any, ...]:
        """What panels must share to share a colour bar."""
        return self.top, self.colours, self.unit, self.words


def draw_influence(rows: Sequence[Sequence[Panel]], title: str) -> Figure:
    """Matrices in rows; neighbours with the same scale share a colour bar.

    Args:
        rows: the panels of every row.
        title: policy, task, seed and episode, as far as they are known.
    """
    side = side_of(max(panel.matrix.shape[0] for row in rows for panel in row))
    columns = max(map(len, rows))
    size = ((side + 0.75) * columns + 0.7, (side + 0.75) * len(rows) + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title, fontsize=11, parse_math=False)
    places = figure.subplots(len(rows), columns, squeeze=False)
    for axes_of_row, row in zip(places, rows, strict=True):
        for axes in axes_of_row[len(row) :]:
            axes.set_axis_off()
        for axes, panel in zip(axes_of_row, row, strict=False):
            draw_matrix(axes, panel, side)
        draw_bars(figure, list(axes_of_row), row)
    return figure


def draw_matrix(axes: Axes, panel: Panel, side: float = SMALLEST) -> None:
    """Draw a matrix, with the agents' names on both axes.

    Args:
        axes: where.
        panel: what.
        side: of the matrix [inches], for the size of the names.
    """
    matrix = panel.matrix.float().cpu()
    agents = panel.agents or numbered(len(matrix))
    axes.imshow(matrix.numpy(), vmin=0, vmax=panel.top, cmap=panel.colours)
    axes.set_title(panel.title, fontsize=9, parse_math=False)
    axes.set_xlabel(f"{agents.word} whose return changes", fontsize=8)
    axes.set_ylabel(f"{agents.word} whose action it is", fontsize=8)
    write_names(axes, agents.short(), side)
    if panel.dots is not None:
        for i, j in panel.dots.cpu().nonzero().tolist():
            axes.plot(j, i, ".", color="grey", markersize=2)


def write_names(axes: Axes, names: Sequence[str], side: float) -> None:
    """Write the names of rows and columns as large as they fit; of many agents some."""
    n = len(names)
    every = -(-n // MOST_NAMES)
    shown = range(0, n, every)
    room = side * POINTS * every / n  # of a name [points]
    longest = max(len(names[k]) for k in shown)
    smallest, largest = NAME_SIZES
    size = min(largest, max(smallest, 0.9 * room))
    flat = LETTER * size * longest <= 0.95 * room
    words = [names[k] for k in shown]
    axes.set_xticks(shown, words, fontsize=size, rotation=0 if flat else 90, parse_math=False)
    axes.set_yticks(shown, words, fontsize=size, parse_math=False)
    axes.tick_params(length=2, pad=2)


def draw_bars(figure: Figure, places: Sequence[Axes], row: Sequence[Panel]) -> None:
    """A colour bar behind the last of the neighbouring panels that have the same scale."""
    last = len(row) - 1
    first = 0
    for number, panel in enumerate(row):
        if number < last and row[number + 1].scale == panel.scale:
            continue
        beside = places[first : number + 1]
        bar = figure.colorbar(beside[-1].images[0], ax=beside, shrink=0.8, label=panel.unit)
        bar.ax.tick_params(labelsize=8)
        if panel.words:
            parts = len(panel.words)
            middles = [panel.top * (k + 0.5) / parts for k in range(parts)]
            bar.set_ticks(middles, labels=list(panel.words))
        first = number + 1


def side_of(n: int) -> float:
    """The side of a matrix of N agents [inches]."""
    return min(LARGEST, max(SMALLEST, PER_AGENT * n))
