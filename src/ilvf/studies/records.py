"""What is known about the runs of a study besides their curves: `runs.csv`, one row a run.

Seconds, versions and hardware cannot be found later or elsewhere, so they are stored beside the
raw table when a run is collected, with the command that trained it.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from ilvf.experiment.metrics_file import METRICS, read_rows
from ilvf.studies.csv_tables import RUN, read_table
from ilvf.studies.plan import Key, PlannedRun

RECORDS = "runs.csv"
TAGS = {  # column: tag of the run in MLflow
    "ilvf": "version.ilvf",
    "commit": "git.sha",
    "torch": "version.torch",
    "torchrl": "version.torchrl",
    "lightning": "version.lightning",
    "python": "version.python",
    "cpu": "hardware.cpu",
    "cores": "hardware.cores",
    "memory_gib": "hardware.memory_gib",
    "gpu": "hardware.gpu",
    "platform": "hardware.platform",
}
COLUMNS = [*RUN, "frames", "seconds", "metric", "command", *TAGS, "experiment_id", "run_id"]
NUMBERS = ["seed", "frames", "seconds"]
SECONDS = "time/wall_s"  # metric: training so far, over all processes that have continued the run


def read_records(path: Path) -> pd.DataFrame:
    """The records, or an empty table if there is no file.

    Raises:
        UsageError: the file is not such a table.
    """
    return read_table(path, COLUMNS, NUMBERS)


def record_of(run: PlannedRun, folder: Path, tags: Mapping[str, str]) -> dict[str, object]:
    """The row of a run that has finished.

    Args:
        folder: of the run.
        tags: of the run in MLflow, with `experiment_id` and `run_id`; empty if it is not known.
    """
    seconds = read_rows(folder / METRICS)[-1].get(SECONDS, float("nan"))
    record: dict[str, object] = {
        "task": run.task,
        "algorithm": run.algorithm,
        "seed": run.seed,
        "frames": run.frames,
        "seconds": float(f"{seconds:.3g}"),
        "metric": run.metric,
        "command": command_of(run),
    }
    record |= {column: tags.get(tag, "") for column, tag in TAGS.items()}
    record |= {name: tags.get(name, "") for name in ("experiment_id", "run_id")}
    return record


def command_of(run: PlannedRun) -> str:
    """The command that trains a run, without `out`."""
    return shlex.join(["ilvf", "train", run.recipe, *run.arguments])


def with_record(records: pd.DataFrame, record: Mapping[str, object]) -> pd.DataFrame:
    """The records with one more, sorted; it replaces that of the same run."""
    same = (records[RUN] == [record[name] for name in RUN]).all(axis=1)
    row = pd.DataFrame([record], columns=COLUMNS)
    kept = records[~same]
    both = pd.concat([kept, row], ignore_index=True) if len(kept) else row
    return both.sort_values(RUN, ignore_index=True)


def recorded_keys(records: pd.DataFrame) -> set[Key]:
    """The runs that have a record."""
    return set(records[RUN].itertuples(index=False, name=None))
