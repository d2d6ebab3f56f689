"""What all pictures have in common: colours, and one orientation of influence matrices."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from torch import Tensor

# The palette of Okabe and Ito, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINE_STYLES = ("-", "--", "-.", ":")  # which tell curves apart in black and white


def curve_style(number: int) -> dict[str, Any]:
    """Colour and line style of the curve with this number; the first 28 differ."""
    colour = COLOURS[number % len(COLOURS)]
    return {"color": colour, "linestyle": LINE_STYLES[number % len(LINE_STYLES)]}


def draw_matrix(
    axes: Axes, matrix: Tensor, title: str, *, top: float = 1.0, colours: Any = "viridis"
) -> Any:
    """Draw an influence matrix; return the image, for a colour bar.

    Args:
        axes: where.
        matrix: `[N, N]`, row = agent whose action (or state) it is, column = agent whose return
            (or value) it changes.
        title: of the axes.
        top: value of the last colour; the first one is 0.
        colours: a colour map.
    """
    image = axes.imshow(matrix.float().cpu().numpy(), vmin=0, vmax=top, cmap=colours)
    axes.set(title=title, xlabel="agent whose return changes", ylabel="agent whose action it is")
    for side in (axes.xaxis, axes.yaxis):
        side.set_major_locator(MaxNLocator(8, integer=True))
    return image
