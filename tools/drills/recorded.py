"""What a run has left: its metrics, its history in the store, its checkpoints."""

import json
import math
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import ilvf
from drills.outcome import Record
from ilvf.checkpoints.files import read_checkpoint

Row = dict[str, float]
CLOCK = "time/"  # metrics that differ between equal runs


@dataclass(frozen=True)
class Reference:
    """An uninterrupted run.

    Attributes:
        rows: its metrics, one row an iteration.
        weights: checkpoint → state_dict.
    """

    rows: list[Row]
    weights: dict[str, dict[str, torch.Tensor]]

    @classmethod
    def of(cls, run: Path) -> "Reference":
        """Read a run's folder."""
        names = ("last", "best")
        weights = {name: checkpoint(run, name)["state_dict"] for name in names}
        return cls(rows_of(run), weights)


# ---------------------------------------------------------------------- files
def run_folders(out: Path) -> list[Path]:
    """Folders of runs below `out`, the oldest first."""
    folders = {path.parent for path in out.glob("*/run.lock")}
    return sorted(folders, key=lambda path: path.stat().st_ctime)


def count_rows(out: Path) -> int:
    """Complete lines of all metrics files below `out`."""
    count = 0
    for path in out.glob("*/metrics.jsonl"):
        try:
            count += path.read_bytes().count(b"\n")
        except OSError:  # the folder was deleted in between
            continue
    return count


def rows_of(run: Path) -> list[Row]:
    """The rows of `metrics.jsonl`, in the order of the file; a last line that is cut is left out.

    Unlike the library's reader, it keeps doubled rows, and fails at a damaged line.
    """
    path = run / "metrics.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def checkpoint(run: Path, name: str = "last") -> dict[str, Any]:
    """The verified content of a checkpoint of a run."""
    return read_checkpoint(run / "checkpoints" / f"{name}.ckpt")


def stored(store: Path, run_id: str) -> dict[tuple[str, int], list[float]]:
    """(metric, frames) → values in the store's history of a run."""
    found: dict[tuple[str, int], list[float]] = {}
    query = "SELECT key, step, value, is_nan FROM metrics WHERE run_uuid = ?"
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as database:
        for key, step, value, is_nan in database.execute(query, (run_id,)):
            found.setdefault((key, step), []).append(math.nan if is_nan else value)
    database.close()
    return found


def status_of(store: Path, run_id: str) -> str:
    """FINISHED, KILLED, FAILED or RUNNING; "none" if the store does not have the run."""
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as database:
        rows = database.execute("SELECT status FROM runs WHERE run_uuid = ?", (run_id,)).fetchall()
    database.close()
    return rows[0][0] if rows else "none"


def folder_with_store(out: Path, template: Path) -> Path:
    """Make `out`, with a copy of an empty store; returns it."""
    out.mkdir(parents=True, exist_ok=True)
    shutil.copy(template, out / "mlflow.db")
    return out


# ---------------------------------------------------------------------- comparisons
def same(first: float | None, second: float | None) -> bool:
    """Bitwise equal numbers; NaN equals NaN."""
    if first is None or second is None:
        return first is second
    return first == second or (math.isnan(first) and math.isnan(second))


def require_complete(record: Record, run: Path, reference: Reference) -> None:
    """Record what differs between a run and the uninterrupted one."""
    require_rows(record, run, reference)
    require_history(record, run)
    require_checkpoints(record, run, reference)


def require_rows(record: Record, run: Path, reference: Reference) -> None:
    """Every iteration once, in order, with the reference's metrics."""
    rows = rows_of(run)
    found = [row["frames"] for row in rows]
    expected = [row["frames"] for row in reference.rows]
    missing = sorted(set(expected) - set(found))
    doubled = len(found) - len(set(found))
    record.lose(len(missing) + doubled, f"metrics.jsonl: {missing} missing, {doubled} doubled")
    record.require(found == sorted(found), f"metrics.jsonl: frames do not increase: {found}")
    wanted = {row["frames"]: row for row in reference.rows}
    for row in rows:
        require_same_row(record, row, wanted.get(row["frames"], {}))


def require_same_row(record: Record, row: Row, wanted: Row) -> None:
    """One iteration's metrics, without the clock's values."""
    absent = wanted.keys() - row.keys()
    record.lose(len(absent), f"metrics.jsonl at {row['frames']}: without {sorted(absent)}")
    for name, value in row.items():
        equal = name.startswith(CLOCK) or same(value, wanted.get(name))
        expected = wanted.get(name)
        record.require(equal, f"at {row['frames']}: {name} is {value}, uninterrupted {expected}")


def require_history(record: Record, run: Path) -> None:
    """The store has every number of `metrics.jsonl` exactly once, and no other."""
    history = stored(run.parent / "mlflow.db", checkpoint(run)["ilvf"]["run"])
    expected = {}
    for row in rows_of(run):
        for name, value in row.items():
            expected[name, int(row["frames"])] = value
    missing = expected.keys() - history.keys()
    doubled = [key for key, values in history.items() if len(values) > 1]
    frames = sorted({frames for _, frames in missing})
    record.lose(len(missing), f"MLflow: {len(missing)} numbers missing, at {frames}")
    record.lose(len(doubled), f"MLflow: {len(doubled)} numbers doubled, {doubled[:3]}")
    for key, values in history.items():
        wrong = not same(values[0], expected.get(key))
        record.require(not wrong, f"MLflow: {key} is {values[0]}, not {expected.get(key)}")


def require_checkpoints(record: Record, run: Path, reference: Reference) -> None:
    """The checkpoints load and have the reference's weights."""
    for name, weights in reference.weights.items():
        found = checkpoint(run, name)["state_dict"]
        equal = found.keys() == weights.keys()
        equal = equal and all(torch.equal(found[key], weights[key]) for key in weights)
        record.require(equal, f"{name}.ckpt has other weights than the uninterrupted run")
    ilvf.load_policy(run / "checkpoints" / "last.ckpt")


def require_sentence(record: Record, output: str, *words: str) -> None:
    """The output has no traceback, and its last line is `error: ...` with these words."""
    if not require_no_traceback(record, output):
        return
    line = last_line(output)
    record.require(line.startswith("error: "), f"no sentence, but {line!r}")
    for word in words:
        record.require(word in line, f"{word!r} is not in {line!r}")


def require_no_traceback(record: Record, output: str) -> bool:
    """Record the exception of a traceback in the output; whether there is none."""
    _, traceback, rest = output.partition("Traceback (most recent call last)")
    lines = [line for line in rest.splitlines() if line and not line.startswith((" ", ":"))]
    place = [line.strip() for line in rest.splitlines() if "src/ilvf" in line]
    where = place[-1].rpartition("src/ilvf/")[2] if place else "outside of ilvf"
    last = lines[-1][:200] if lines else ""
    return record.require(not traceback, f"traceback at {where}: {last}")


def last_line(output: str) -> str:
    """The last line that is not empty, shortened."""
    lines = output.strip().splitlines()
    return lines[-1][:300] if lines else ""
