"""`metrics.jsonl`: the metrics of every iteration, in the run's folder."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

METRICS = "metrics.jsonl"
NAME = re.compile(r"[\w\-. ]+(/[\w\-. ]+)*")
Row = dict[str, float]


def append_row(path: Path, frames: int, metrics: Mapping[str, float]) -> None:
    """Add the metrics of one iteration; makes the folder again if it was deleted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"frames": frames, **metrics}) + "\n")


def read_rows(path: Path) -> list[Row]:
    """The metrics of every iteration, ordered by frames.

    Lines that are not such a row are left out: a last line that a kill has cut, or damage.
    """
    if not path.exists():
        return []
    rows = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        row = parsed(line)
        if row is not None:
            rows[row["frames"]] = row
    return [rows[frames] for frames in sorted(rows)]


def parsed(line: str) -> Row | None:
    """The row of a line; None if it is none."""
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        return None
    if not isinstance(row, dict) or not is_count(row.get("frames")):
        return None
    return {name: value for name, value in row.items() if is_name(name) and is_number(value)}


def is_name(name: str) -> bool:
    """Is this a name that MLflow accepts: words, separated by slashes?"""
    return NAME.fullmatch(name) is not None and ".." not in name


def is_number(value: object) -> bool:
    """Is this an int or a float?"""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_count(value: object) -> bool:
    """Is this a finite number that is not negative?"""
    return isinstance(value, int | float) and is_number(value) and 0 <= value < math.inf


def rewrite(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Replace the file by complete rows."""
    part = path.with_name(f"{path.name}.part")
    part.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    part.replace(path)
