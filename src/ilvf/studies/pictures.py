"""Pictures of a study: learning curves, sample efficiency and performance profiles."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ilvf.analysis.aggregates import Array, curve_band, performance_profile, profile_band
from ilvf.reports.curves import draw_band, draw_curves
from ilvf.reports.drawing import curve_style
from ilvf.reports.labels import label_ends
from ilvf.studies.description import Study
from ilvf.studies.scores import curves_of

COLUMNS = 2  # of panels
PANEL = (6.5, 3.8)  # width and height [inches]
SHARES = np.linspace(0.02, 1.0, 50)  # parts of the frames at which tasks are averaged


def curves_picture(table: pd.DataFrame, study: Study) -> Figure:
    """Learning curves of all tasks: interquartile mean over seeds with its 95 % bootstrap band."""
    panels = []
    for task in study.tasks:
        curves = curves_of(table, study, task)
        for panel, titles in panels_with_more(study, list(curves)).items():
            heading = f"{task.title}: {panel}" if panel else task.title
            panels.append((heading, task.metric, {title: curves[title] for title in titles}))
    rows = -(-len(panels) // COLUMNS)
    columns = min(len(panels), COLUMNS)
    figure = Figure(figsize=(PANEL[0] * columns, PANEL[1] * rows), layout="constrained")
    styles = styles_of(study)
    for number, (heading, metric, curves) in enumerate(panels, 1):
        axes = figure.add_subplot(rows, columns, number, xlabel="environment frames", ylabel=metric)
        axes.set_title(heading, parse_math=False)
        draw_curves(axes, curves, styles)
    return figure


def panels_with_more(study: Study, titles: Collection[str]) -> dict[str, list[str]]:
    """The panels of a task, without those that show nothing beside what an earlier one shows.

    Args:
        titles: of the algorithms that have run on the task.
    """
    found: dict[str, list[str]] = {}
    seen: set[str] = set()
    for panel, wanted in study.panels.items():
        kept = [title for title in wanted if title in titles]
        if not seen.issuperset(kept):
            found[panel] = kept
        seen.update(kept)
    return found or {"": []}


def efficiency_picture(curves: Mapping[str, Array], study: Study) -> Figure:
    """Sample efficiency: the score over all tasks against the part of the frames.

    Args:
        curves: title → scores `[R, M, K]` at `SHARES`.
    """
    figure, axes = one_panel("part of each task's frames", "score, IQM over all tasks")
    styles = styles_of(study)
    ends = {}
    for title, scores in curves.items():
        band = curve_band(scores)
        draw_band(axes, SHARES, band, styles[title])
        ends[title] = float(band[0][-1])
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    label_ends(axes, ends, styles)
    return figure


def profiles_picture(arrays: Mapping[str, Array], study: Study) -> Figure:
    """Performance profiles: share of runs whose score is above each threshold.

    All profiles end at 0, so their names are in a legend, from the best mean score to the worst.
    """
    figure, axes = one_panel("score τ", "share of runs with a score > τ")
    styles = styles_of(study)
    scores = np.concatenate([array.ravel() for array in arrays.values()])
    thresholds = np.linspace(min(scores.min(), 0.0), max(scores.max(), 1.0), 101)
    for title in sorted(arrays, key=lambda name: -arrays[name].mean()):
        array = arrays[title]
        profile = performance_profile(array, thresholds)
        low, high = profile_band(array, thresholds) if len(array) > 1 else (profile, profile)
        draw_band(axes, thresholds, (profile, low, high), styles[title], label=title)
    legend = figure.legend(fontsize=8, loc="outside right upper", frameon=False, handlelength=3)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def one_panel(xlabel: str, ylabel: str) -> tuple[Figure, Axes]:
    """A figure with one panel."""
    figure = Figure(figsize=PANEL, layout="constrained")
    return figure, figure.add_subplot(xlabel=xlabel, ylabel=ylabel)


def styles_of(study: Study) -> dict[str, dict[str, Any]]:
    """Colour and line style of every algorithm, the same in all pictures."""
    return {a.title: curve_style(number) for number, a in enumerate(study.algorithms)}
