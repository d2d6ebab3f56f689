"""What all curves have in common: colours and line styles."""

from typing import Any

# The palette of Okabe and Ito, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINE_STYLES = ("-", "--", "-.", ":")  # which tell curves apart in black and white


def curve_style(number: int) -> dict[str, Any]:
    """Colour and line style of the curve with this number; the first 28 differ."""
    colour = COLOURS[number % len(COLOURS)]
    return {"color": colour, "linestyle": LINE_STYLES[number % len(LINE_STYLES)]}
