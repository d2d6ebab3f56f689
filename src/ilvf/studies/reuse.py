"""Takes finished runs from the tables of other studies, so that no run is trained twice.

A run is the same if its settings, seed, frames and metric are; the titles of its task and of its
algorithm may differ. A run whose settings are in a yaml file, by `env=` or `preset=`, is never the
same: the file may have changed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from ilvf.errors import UsageError, require
from ilvf.options import shown
from ilvf.studies.csv_tables import RUN
from ilvf.studies.plan import Key, PlannedRun
from ilvf.studies.raw_table import RAW, read_raw
from ilvf.studies.records import RECORDS, command_of, read_records
from ilvf.studies.settings import Settings, names_file, settings_in

Record = dict[str, Any]


@dataclass(frozen=True)
class OtherStudy:
    """The tables of another study.

    Attributes:
        folder: where they are.
        records: rows of `runs.csv`.
        curves: task, algorithm, seed → frames → value.
    """

    folder: Path
    records: Sequence[Record]
    curves: dict[Key, pd.Series]

    def same(self, run: PlannedRun) -> tuple[pd.Series, Record] | None:
        """Curve and record of the same run.

        The record has its new titles, its old command, and no place in this study's store.
        """
        for record in self.records:
            curve = self.curves.get((record["task"], record["algorithm"], record["seed"]))
            if curve is not None and is_same(record, run) and curve.index[-1] == run.frames:
                titles = {"task": run.task, "algorithm": run.algorithm}
                return curve, record | titles | {"experiment_id": "", "run_id": ""}
        return None


def folders_of(given: Any) -> list[Path]:
    """The folders that the value of `reuse` names: words with commas, a list, or None."""
    words = given.split(",") if isinstance(given, str) else given or []
    require(
        isinstance(words, list) and all(isinstance(word, str) and word.strip() for word in words),
        f"reuse={shown(given)} is no list of folders; write reuse=A,B",
    )
    return [Path(word.strip()).expanduser() for word in words]


def read_other(folder: Path) -> OtherStudy:
    """The tables in a folder.

    Raises:
        UsageError: one of them is missing or damaged.
    """
    for name in (RAW, RECORDS):
        require(
            (folder / name).is_file(),
            f"reuse={folder} has no {name}; give the folder of a study, such as "
            "runs/studies/fig8-cpu",
        )
    table = read_raw(folder / RAW)
    curves = {}
    for key, rows in table.groupby(RUN):
        curves[key] = rows.set_index("frames")["value"].sort_index()
    records = read_records(folder / RECORDS).to_dict("records")
    return OtherStudy(folder, records, curves)


def found_in(
    others: Sequence[OtherStudy], runs: Sequence[PlannedRun]
) -> Iterator[tuple[PlannedRun, pd.Series, Record]]:
    """Those of the runs that another study has trained: run, curve, record."""
    for run in runs:
        for other in others:
            found = other.same(run)
            if found is not None:
                yield run, *found
                break


def is_same(record: Record, run: PlannedRun) -> bool:
    """Whether the recorded run had the seed, the metric and the settings of the planned one."""
    if (record["seed"], record["metric"]) != (run.seed, run.metric) or names_file(run):
        return False
    planned = settings(command_of(run))
    return planned is not None and settings(record["command"]) == planned


@cache
def settings(command: str) -> Settings | None:
    """The settings of a command; None if it is no command of today."""
    try:
        return settings_in(command, "the run")
    except UsageError:
        return None
