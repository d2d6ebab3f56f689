"""From the raw table to one value per run, and to scores that can be averaged over tasks."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from ilvf.analysis.curves import last_tenth
from ilvf.studies.aggregates import Array
from ilvf.studies.description import Study, StudyTask

Summary = Callable[[pd.Series], float]
Curves = dict[str, list[pd.Series]]  # algorithm → curves, named and ordered by seed


def whole_curve(curve: pd.Series) -> float:
    """Mean of a whole curve."""
    return float(curve.mean())


SUMMARIES: dict[str, Summary] = {"whole curve": whole_curve, "last tenth": last_tenth}


def curves_of(table: pd.DataFrame, study: Study, task: StudyTask) -> Curves:
    """The curves of a task, in the study's order of algorithms; those without runs are left out."""
    curves: Curves = {}
    rows = table[table["task"] == task.title]
    for algorithm in study.algorithms_of(task):
        of_algorithm = rows[rows["algorithm"] == algorithm.title]
        runs = []
        for seed, run in of_algorithm.groupby("seed"):
            runs.append(pd.Series(run["value"].to_numpy(), run["frames"].to_numpy(), name=seed))
        if runs:
            curves[algorithm.title] = runs
    return curves


def run_values(curves: Curves, summary: Summary) -> pd.DataFrame:
    """One value per run: seeds × algorithms; NaN where an algorithm has no run of a seed."""
    columns = {}
    for algorithm, runs in curves.items():
        columns[algorithm] = pd.Series({run.name: summary(run) for run in runs})
    return pd.DataFrame(columns)


def scores_of(values: pd.DataFrame, task: StudyTask) -> pd.DataFrame:
    """Values of a task as scores:  (value − worst) / (best − worst).

    Without `worst` and `best` of the task, the worst and best run of all algorithms take their
    place (Gorsane et al., 2022). Scores are 0 if all runs are equal.
    """
    low = float(np.nanmin(values.to_numpy()))
    high = float(np.nanmax(values.to_numpy()))
    if task.better == "lower":
        low, high = high, low
    worst = low if task.worst is None else task.worst
    best = high if task.best is None else task.best
    if best == worst:
        return values * 0.0
    return (values - worst) / (best - worst)


def score_arrays(table: pd.DataFrame, study: Study, summary: Summary) -> dict[str, Array]:
    """Scores `[R, M]` of the algorithms that have runs on every task of the study.

    R is the number of seeds that all these runs have in common.
    """
    tasks = [task for task in study.tasks if curves_of(table, study, task)]
    per_task = []
    for task in tasks:
        per_task.append(scores_of(run_values(curves_of(table, study, task), summary), task))
    arrays = {}
    for algorithm in study.algorithms:
        columns = [scores[algorithm.title] for scores in per_task if algorithm.title in scores]
        if columns and len(columns) == len(per_task):
            arrays[algorithm.title] = common_seeds(columns)
    return {title: array for title, array in arrays.items() if len(array)}


def common_seeds(columns: Sequence[pd.Series]) -> Array:
    """Columns of scores, one a task, for the seeds that all have."""
    return pd.concat(columns, axis=1).dropna().to_numpy(float)
