"""Learning curves of several algorithms in a panel, with bootstrap bands and direct labels."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter

from ilvf.analysis.aggregates import Array, curve_band
from ilvf.reports.labels import label_ends

Band = tuple[Array, Array, Array]  # middle, lower and upper limit


def draw_curves(
    axes: Axes, curves: Mapping[str, Sequence[pd.Series]], styles: Mapping[str, dict]
) -> None:
    """Draw interquartile means over seeds with their 95 % bootstrap bands.

    Curves are interpolated between their points; those without a finite value are left out.

    Args:
        curves: name → one curve per seed, indexed by environment frames.
        styles: name → keyword arguments of the line.
    """
    ends = {}
    for title, runs in curves.items():
        known = [run for run in runs if run.notna().any()]
        if not known:
            continue
        points = pd.concat(known, axis=1).sort_index().interpolate(method="index").dropna()
        band = curve_band(points.to_numpy(float).T[:, None])
        draw_band(axes, points.index.to_numpy(float), band, styles[title])
        ends[title] = float(band[0][-1])
    axes.xaxis.set_major_formatter(EngFormatter())
    label_ends(axes, ends, styles)


def draw_band(
    axes: Axes, x: Array, band: Band, style: Mapping[str, Any], label: str | None = None
) -> None:
    """Draw a line and its interval; one run has none."""
    middle, low, high = band
    axes.plot(x, middle, label=label, **style)
    if (low < high).any():
        axes.fill_between(x, low, high, color=style["color"], alpha=0.12, lw=0)
    axes.margins(x=0)
    axes.grid(alpha=0.3)
