"""Learning curves of several groups of runs in one picture."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from ilvf.analysis import t_interval
from ilvf.reports.drawing import curve_style

if TYPE_CHECKING:
    import pandas as pd


def comparison(groups: "Mapping[str, Sequence[pd.Series]]", metric: str, task: str = "") -> Figure:
    """Mean learning curve of every group, with its 95 % t interval over seeds.

    Args:
        groups: label → curves, one a seed, indexed by environment frames.
        metric: name of what is drawn.
        task: for the title.
    """
    import pandas as pd

    figure = Figure(figsize=(10, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel="environment frames", ylabel=metric)
    axes.set_title(f"{task + ': ' if task else ''}mean over seeds, band: 95 % t interval")
    for number, (label, curves) in enumerate(groups.items()):
        table = pd.concat(curves, axis=1).dropna()
        style = curve_style(number)
        name = f"{label} ({len(curves)} seed{'s' if len(curves) > 1 else ''})"
        axes.plot(table.index, table.mean(axis=1), label=name, **style)
        if len(curves) > 1:
            intervals = [t_interval(row.tolist()) for _, row in table.iterrows()]
            low, high = zip(*intervals, strict=True)
            axes.fill_between(table.index, low, high, color=style["color"], alpha=0.15, lw=0)
    figure.legend(fontsize=8, loc="outside right upper")
    axes.grid(alpha=0.3)
    return figure
