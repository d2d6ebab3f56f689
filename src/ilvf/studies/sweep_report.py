"""The report of a sweep: all combinations, the best first, and pictures."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ilvf.analysis.aggregates import interquartile_mean
from ilvf.errors import UsageError
from ilvf.options import short_names, text_of
from ilvf.reports.drawing import COLOURS
from ilvf.reports.tables import table as markdown
from ilvf.reports.tables import write_page
from ilvf.studies.description import Study
from ilvf.studies.pictures import curves_picture
from ilvf.studies.runner import Runner
from ilvf.studies.scores import SUMMARIES, curves_of, run_values
from ilvf.studies.tables import estimate

CURVES = 6  # combinations whose curves are drawn
COLUMNS = 3  # of the picture of all keys
NOTES = """*Last tenth* is the mean of the last tenth of a run's curve, *whole curve* that of the
whole curve. Values over seeds are interquartile means, with 95 % bootstrap intervals from two seeds
on. The best of many combinations looks better than it is: run it again with fresh seeds."""


class SweepRunner(Runner):
    """Runs the combinations of a sweep, and writes their report."""

    def write_files(self) -> list[Path]:
        """Write the report into the folder; its files.

        Raises:
            UsageError: a file cannot be written.
        """
        table = self.planned_table()
        best = ranking(table, self.study)
        files = [self.folder / name for name in ("report.md", "sweep.png", "curves.png")]
        parts = parts_of(table, self.study, best, len(self.missing()))
        try:
            write_page(files[0], parts)
            keys_picture(self.study, best).savefig(files[1], dpi=120)
            titles = list(best.index[:CURVES])
            shown = dataclasses.replace(self.study, panels={f"the best {len(titles)}": titles})
            curves_picture(table, shown).savefig(files[2], dpi=120)
        except OSError as error:
            reason = f"{error.filename or files[0]} cannot be written ({error.strerror})"
            raise UsageError(f"the report: {reason}") from error
        return files


def ranking(table: pd.DataFrame, study: Study) -> pd.Series:
    """Title → interquartile mean of the last tenth over seeds, the best first.

    Combinations without a finished run or a finite value are left out.
    """
    task = study.tasks[0]
    values = run_values(curves_of(table, study, task), SUMMARIES["last tenth"])
    found = {}
    for title in values:
        finite = values[title].dropna().to_numpy(float)
        if len(finite):
            found[title] = float(interquartile_mean(finite[:, None]))
    return pd.Series(found, dtype=float).sort_values(ascending=task.better == "lower")


def parts_of(table: pd.DataFrame, study: Study, best: pd.Series, missing: int) -> list[str]:
    """The parts of the page."""
    task = study.tasks[0]
    fixed = ", ".join(f"`{key}={text_of(value)}`" for key, value in task.keys.items())
    head = f"`{task.metric}`, {task.better} is better; seeds {study.scale.seeds}."
    if fixed:
        head += f" All combinations have {fixed}."
    if missing:
        head += f" **{missing} runs have not finished and are not in this report.**"
    combinations = combinations_table(table, study, best)
    pictures = ["![Values of each key](sweep.png)", "![Learning curves](curves.png)"]
    return [f"# {study.title}", head, combinations, *pictures, NOTES]


def combinations_table(table: pd.DataFrame, study: Study, best: pd.Series) -> str:
    """One row for each combination, the best first."""
    if best.empty and len(table):
        return "No run has a finite value of the metric."
    if best.empty:
        return "No run has finished."
    curves = curves_of(table, study, study.tasks[0])
    keys = keys_of(study)
    combinations = {algorithm.title: algorithm.keys for algorithm in study.algorithms}
    last, whole = SUMMARIES["last tenth"], SUMMARIES["whole curve"]
    rows = []
    for title in best.index:
        runs = {title: curves[title]}
        row = [title, *(short_text(combinations[title][key]) for key in keys)]
        row.append(str(len(curves[title])))
        row += [estimate(run_values(runs, summary)[title]) for summary in (last, whole)]
        rows.append(row)
    return markdown(["combination", *keys.values(), "seeds", "last tenth", "whole curve"], rows)


def short_text(value: Any) -> str:
    """A value with at most six digits."""
    return f"{value:.6g}" if isinstance(value, float) else text_of(value)


def keys_of(study: Study) -> dict[str, str]:
    """The keys that are varied, with short names."""
    return short_names(list(study.algorithms[0].keys))


def keys_picture(study: Study, best: pd.Series) -> Figure:
    """The metric of all combinations over the values of each key, a panel a key."""
    keys = keys_of(study)
    rows = -(-len(keys) // COLUMNS)
    columns = min(len(keys), COLUMNS)
    figure = Figure(figsize=(1 + 3.4 * columns, 3.2 * rows), layout="constrained")
    combinations = {algorithm.title: algorithm.keys for algorithm in study.algorithms}
    for number, (key, name) in enumerate(keys.items(), 1):
        axes = figure.add_subplot(rows, columns, number, xlabel=name)
        draw_key(axes, [combinations[title][key] for title in best.index], best.to_numpy())
    figure.supylabel(f"{study.tasks[0].metric}, last tenth", fontsize=9)
    return figure


def draw_key(axes: Axes, values: list[Any], heights: np.ndarray) -> None:
    """Draw the metric over the values of one key; numbers that span a decade as logarithms."""
    numbers = [value for value in values if type(value) in (int, float)]
    if len(numbers) < len(values):
        axes.scatter([text_of(value) for value in values], heights, s=18, c=COLOURS[0])
    else:
        axes.scatter(numbers, heights, s=18, c=COLOURS[0])
        if numbers and min(numbers) > 0 and max(numbers) >= 10 * min(numbers):
            axes.set_xscale("log")
        else:
            axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.grid(alpha=0.3)
