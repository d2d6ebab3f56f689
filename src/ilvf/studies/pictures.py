"""Pictures of a study: learning curves with intervals, and performance profiles."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from ilvf.reports.drawing import curve_style
from ilvf.studies.aggregates import Array, curve_band, performance_profile, profile_band
from ilvf.studies.description import Study
from ilvf.studies.scores import Curves, curves_of

COLUMNS = 2  # of panels
LABEL_GAP = 0.055  # least distance of two labels, as a part of the axes' height


def curves_picture(table: pd.DataFrame, study: Study) -> Figure:
    """Learning curves of all tasks: interquartile mean over seeds with its 95 % bootstrap band."""
    panels = []
    for task in study.tasks:
        curves = curves_of(table, study, task)
        for panel, titles in study.panels.items():
            kept = {title: curves[title] for title in titles if title in curves}
            heading = f"{task.title}: {panel}" if panel else task.title
            panels.append((heading, task.metric, kept))
    rows = -(-len(panels) // COLUMNS)
    columns = min(len(panels), COLUMNS)
    figure = Figure(figsize=(6.5 * columns, 3.8 * rows), layout="constrained")
    styles = styles_of(study)
    for number, (heading, metric, curves) in enumerate(panels, 1):
        axes = figure.add_subplot(rows, columns, number, xlabel="environment frames", ylabel=metric)
        axes.set_title(heading)
        draw_curves(axes, curves, styles)
    return figure


def profiles_picture(arrays: Mapping[str, Array], study: Study) -> Figure:
    """Performance profiles: share of runs whose score is above each threshold."""
    figure = Figure(figsize=(6.5, 3.8), layout="constrained")
    axes = figure.add_subplot(xlabel="score τ", ylabel="share of runs with a score > τ")
    styles = styles_of(study)
    scores = np.concatenate([array.ravel() for array in arrays.values()])
    thresholds = np.linspace(min(scores.min(), 0.0), max(scores.max(), 1.0), 101)
    for title, array in arrays.items():
        style = styles[title]
        axes.plot(thresholds, performance_profile(array, thresholds), label=title, **style)
        if len(array) > 1:
            low, high = profile_band(array, thresholds)
            axes.fill_between(thresholds, low, high, color=style["color"], alpha=0.15, lw=0)
    figure.legend(fontsize=8, loc="outside right upper")
    axes.grid(alpha=0.3)
    return figure


def styles_of(study: Study) -> dict[str, dict]:
    """Colour and line style of every algorithm, the same in all pictures."""
    return {a.title: curve_style(number) for number, a in enumerate(study.algorithms)}


def draw_curves(axes: Axes, curves: Curves, styles: Mapping[str, dict]) -> None:
    """Draw the curves of several algorithms, with a label at the end of each."""
    ends = {}
    for title, runs in curves.items():
        points = pd.concat(runs, axis=1).dropna()
        if points.empty:
            continue
        mean, low, high = curve_band(points.to_numpy(float).T)
        style = styles[title]
        axes.plot(points.index, mean, **style)
        if len(runs) > 1:
            axes.fill_between(points.index, low, high, color=style["color"], alpha=0.15, lw=0)
        ends[title] = float(mean[-1])
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.grid(alpha=0.3)
    label_ends(axes, ends, styles)


def label_ends(axes: Axes, ends: Mapping[str, float], styles: Mapping[str, dict]) -> None:
    """Write each title to the right of the axes, at the height of its curve's end."""
    bottom, top = axes.get_ylim()
    titles = sorted(ends, key=lambda title: ends[title])
    heights = [(ends[title] - bottom) / (top - bottom) for title in titles]
    for title, height in zip(titles, spread(heights, LABEL_GAP), strict=True):
        axes.text(
            1.01,
            height,
            title,
            color=styles[title]["color"],
            fontsize=8,
            va="center",
            transform=axes.transAxes,
        )


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Ascending heights moved apart to at least `gap`, and not above 1 where they fit below."""
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + gap) if placed else height)
    limit = 1.0
    for number in reversed(range(len(placed))):
        placed[number] = min(placed[number], limit)
        limit = placed[number] - gap
    return placed
