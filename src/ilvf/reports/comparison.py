"""Learning curves of several groups of runs, in a panel for each task and length."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from ilvf.reports.curves import draw_curves
from ilvf.reports.drawing import curve_style

COLUMNS = 2  # of panels
PANEL = (5.2, 3.8)  # least width and height without labels [inches]
LETTER = 0.065  # width [inches]
LINE = 0.24  # height of a label [inches]
SUBTITLE = "interquartile mean over seeds, band: its 95 % bootstrap interval"

Groups = Mapping[str, Sequence[pd.Series]]


def comparison(panels: Mapping[str, Groups], metric: str) -> Figure:
    """Learning curves of every group, labelled at their ends.

    Args:
        panels: heading → label → curves, one a seed, indexed by environment frames.
        metric: name of what is drawn.
    """
    columns = min(len(panels), COLUMNS)
    rows = -(-len(panels) // COLUMNS)
    named = {heading: with_seeds(groups) for heading, groups in panels.items()}
    width, height = size_of_panel(list(named.values()))
    figure = Figure(figsize=(columns * width, rows * height + 0.4), layout="constrained")
    bands = any(len(curves) > 1 for groups in panels.values() for curves in groups.values())
    figure.suptitle(SUBTITLE if bands else "single runs", fontsize=10)
    styles = styles_of(panels)
    for number, (heading, groups) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(rows, columns, number, xlabel="environment frames", ylabel=metric)
        axes.set_title(heading, parse_math=False)
        of_names = dict(zip(named[heading], (styles[label] for label in groups), strict=True))
        draw_curves(axes, named[heading], of_names)
    return figure


def with_seeds(groups: Groups) -> dict[str, Sequence[pd.Series]]:
    """`LABEL (5 seeds)` → curves."""
    named = {}
    for label, curves in groups.items():
        named[f"{label} ({len(curves)} seed{'s' if len(curves) > 1 else ''})"] = curves
    return named


def styles_of(panels: Mapping[str, Groups]) -> dict[str, dict]:
    """Colour and line style of every label, the same in all panels."""
    labels = dict.fromkeys(label for groups in panels.values() for label in groups)
    return {label: curve_style(number) for number, label in enumerate(labels)}


def size_of_panel(panels: Sequence[Groups]) -> tuple[float, float]:
    """Width and height [inches] that leave room for all labels beside the curves."""
    longest = max(len(label) for groups in panels for label in groups)
    most = max(len(groups) for groups in panels)
    return PANEL[0] + LETTER * longest, max(PANEL[1], LINE * most)
