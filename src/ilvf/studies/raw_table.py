"""The raw table of a study: `raw.csv`, one row per run and point of its curve.

The table is all that a report needs, and small enough to be committed. A run that is in it counts
as finished, so a study continues from it on another machine.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from ilvf.errors import UsageError, require
from ilvf.experiment.metrics_file import METRICS, read_rows
from ilvf.options import shown
from ilvf.studies.csv_tables import RUN, read_table
from ilvf.studies.plan import Key, PlannedRun

RAW = "raw.csv"
COLUMNS = [*RUN, "frames", "value"]
NUMBERS = ["seed", "frames", "value"]


def read_raw(path: Path) -> pd.DataFrame:
    """The table, or an empty one if there is no file.

    Raises:
        UsageError: the file is not such a table.
    """
    table = read_table(path, COLUMNS, NUMBERS)
    twice = table[table.duplicated([*RUN, "frames"])]
    if len(twice):
        task, algorithm, seed, frames, _ = twice.iloc[0]
        raise UsageError(
            f"{path} has {shown(algorithm)} on {shown(task)}, seed {seed}, at {frames} frames "
            "twice; delete the rows of one of the two runs"
        )
    return table


def with_run(table: pd.DataFrame, run: PlannedRun, curve: pd.Series) -> pd.DataFrame:
    """The table with the rows of one more run, sorted.

    Args:
        curve: frames → value.
    """
    rows = pd.DataFrame(
        {
            "task": run.task,
            "algorithm": run.algorithm,
            "seed": run.seed,
            "frames": curve.index.astype(int),
            "value": curve.to_numpy(float),
        }
    )
    both = pd.concat([table, rows], ignore_index=True) if len(table) else rows
    return both.sort_values([*RUN, "frames"], ignore_index=True)


def of_runs(table: pd.DataFrame, runs: Iterable[PlannedRun]) -> pd.Series:
    """Which rows of a table with the columns `RUN` belong to one of the runs."""
    keys = {run.key for run in runs}
    rows = table[RUN].itertuples(index=False, name=None)
    return pd.Series([row in keys for row in rows], index=table.index, dtype=bool)


def finished_keys(table: pd.DataFrame, runs: Sequence[PlannedRun], path: Path) -> set[Key]:
    """The runs that the table has.

    Args:
        path: of the table, for the message.

    Raises:
        UsageError: a run in it has another number of frames than the study.
    """
    last = table.groupby(RUN)["frames"].max().to_dict()
    for run in runs:
        require(
            last.get(run.key, run.frames) == run.frames,
            f"{path}: {shown(run.algorithm)} on {shown(run.task)}, seed {run.seed}, ends at "
            f"{last.get(run.key)} frames instead of {run.frames}; delete these rows and the folder "
            f"{run.folder} to run it again, or give another out",
        )
    return {run.key for run in runs if run.key in last}


def curve_of(folder: Path, run: PlannedRun) -> pd.Series | None:
    """The curve of a run's folder, frames → value; None if it has not reached its last frame.

    Metrics of episodes are missing in iterations in which none ends. The last iteration is a point
    of the curve all the same, with NaN.

    Raises:
        UsageError: the run is longer than planned.
    """
    rows = read_rows(folder / METRICS)
    if not rows or rows[-1]["frames"] < run.frames:
        return None
    require(
        rows[-1]["frames"] == run.frames,
        f"the run {folder} has {rows[-1]['frames']:.0f} frames instead of {run.frames}; delete "
        "this folder to run it again, or give another out",
    )
    points = {int(row["frames"]): row[run.metric] for row in rows if run.metric in row}
    points.setdefault(run.frames, float("nan"))
    return pd.Series(points, dtype=float)


def require_metric(folder: Path, run: PlannedRun, table: pd.DataFrame) -> None:
    """Raise if neither a run nor a run of its task in the table has logged the task's metric.

    A run may lack it, such as one in which no episode ends; if all do, its name is wrong.
    """
    others = table[table["task"] == run.task]["value"]
    require(
        others.notna().any() or any(run.metric in row for row in read_rows(folder / METRICS)),
        f"the run {folder} has no metric {shown(run.metric)}; correct the metric of the task "
        f"{shown(run.task)}",
    )
