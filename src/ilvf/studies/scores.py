"""From the raw table to one value per run, and to scores that can be averaged over tasks."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from ilvf.analysis.aggregates import Array
from ilvf.analysis.curves import last_tenth, whole_curve
from ilvf.studies.description import Study, StudyTask

Summary = Callable[[pd.Series], float]
Curves = dict[str, list[pd.Series]]  # algorithm → curves, named and ordered by seed

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

    Scores are 0 if all runs are equal.
    """
    worst, best = bounds_of(values, task)
    if best == worst:
        return values * 0.0
    return (values - worst) / (best - worst)


def bounds_of(values: pd.DataFrame, task: StudyTask) -> tuple[float, float]:
    """The values of a task with the scores 0 and 1.

    Without `worst` and `best` of the task, the worst and best run of all algorithms take their
    place (Gorsane et al., 2022).
    """
    low = float(np.nanmin(values.to_numpy()))
    high = float(np.nanmax(values.to_numpy()))
    if task.better == "lower":
        low, high = high, low
    worst = low if task.worst is None else task.worst
    best = high if task.best is None else task.best
    return worst, best


def score_arrays(table: pd.DataFrame, study: Study, summary: Summary) -> dict[str, Array]:
    """Scores `[R, M]` of the algorithms that have runs on every one of the `complete_tasks`.

    R is the number of seeds that all these runs have in common.
    """
    per_task = []
    for task in complete_tasks(table, study):
        per_task.append(scores_of(run_values(curves_of(table, study, task), summary), task))
    arrays = {}
    for algorithm in study.algorithms:
        columns = [scores[algorithm.title] for scores in per_task if algorithm.title in scores]
        if columns and len(columns) == len(per_task):
            arrays[algorithm.title] = common_seeds(columns)
    return {title: array for title, array in arrays.items() if len(array)}


def complete_tasks(table: pd.DataFrame, study: Study) -> list[StudyTask]:
    """The tasks on which the baseline has at least half as many seeds as on any task.

    So a task that has just begun counts later, and one with more seeds than others does not stand
    for all. Runs without a finite value do not count.
    """
    rows = table[(table["algorithm"] == study.baseline) & np.isfinite(table["value"].astype(float))]
    seeds = rows.groupby("task")["seed"].nunique()
    return [task for task in study.tasks if 2 * seeds.get(task.title, 0) >= seeds.max()]


def common_seeds(columns: Sequence[pd.Series]) -> Array:
    """Columns of scores, one a task, for the seeds that all have."""
    return pd.concat(columns, axis=1).dropna().to_numpy(float)


def score_curves(table: pd.DataFrame, study: Study, shares: Array) -> dict[str, Array]:
    """Scores during training `[R, M, K]` of the algorithms of `score_arrays`.

    A curve is interpolated between its points; before the first one it has that one's value. Scores
    have the bounds of whole curves, see `bounds_of`.

    Args:
        shares: `[K]` in (0, 1], parts of the frames of a run.
    """
    per_task = []
    for task in complete_tasks(table, study):
        curves = curves_of(table, study, task)
        bounds = bounds_of(run_values(curves, whole_curve), task)
        found = {}
        for title, runs in curves.items():
            found[title] = {run.name: score_curve(run, bounds, shares) for run in runs}
        per_task.append(found)
    arrays = {}
    for algorithm in study.algorithms:
        title = algorithm.title
        if not per_task or any(title not in found for found in per_task):
            continue
        seeds = seeds_of_all([found[title] for found in per_task])
        rows = [[found[title][seed] for found in per_task] for seed in seeds]
        if rows:
            arrays[title] = np.array(rows)
    return arrays


def score_curve(run: pd.Series, bounds: tuple[float, float], shares: Array) -> Array:
    """The scores of one run at parts of its frames, `[K]`; NaN for a run without finite values."""
    points = run.dropna()
    worst, best = bounds
    if points.empty:
        return np.full(len(shares), np.nan)
    if best == worst:
        return np.zeros(len(shares))
    scores = (points.to_numpy(float) - worst) / (best - worst)
    return np.interp(shares, points.index.to_numpy(float) / run.index[-1], scores)


def seeds_of_all(found: Sequence[Mapping[int, Array]]) -> list[int]:
    """The seeds whose curves are finite in all of the tasks."""
    common = []
    for seed in found[0]:
        if all(seed in curves and np.isfinite(curves[seed]).all() for curves in found):
            common.append(seed)
    return common
