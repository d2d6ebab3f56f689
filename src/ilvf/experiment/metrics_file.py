"""`metrics.jsonl`: the metrics of every iteration, in the run's folder."""

import errno
import json
import os
import re
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

METRICS = "metrics.jsonl"
NAME = re.compile(r"[\w\-. ]+(/[\w\-. ]+)*")
LONGEST_NAME = 250  # of a metric in MLflow
LAST_BYTES = 50_000  # at the end of the file, which hold at least one row
MOST_FRAMES = 2**53  # up to here a float holds every integer
Row = dict[str, float]


def append_row(path: Path, frames: int, metrics: Mapping[str, float]) -> None:
    """Add the metrics of one iteration; makes the folder again if it was deleted.

    The file keeps complete lines only. A last line that a kill has cut is replaced; if this row
    cannot be written whole, because the disk is full, nothing of it stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    line = (json.dumps({"frames": frames, **metrics}) + "\n").encode()
    with path.open("a+b", buffering=0) as file:
        complete = end_of_lines(file)
        file.truncate(complete)
        try:
            written = file.write(line)
        except OSError:
            file.truncate(complete)
            raise
        if written < len(line):
            file.truncate(complete)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def end_of_lines(file: BinaryIO) -> int:
    """Where the last complete line of a file ends."""
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        return 0
    file.seek(-1, os.SEEK_END)
    if file.read(1) == b"\n":
        return size
    file.seek(0)
    return file.read().rfind(b"\n") + 1


def read_rows(path: Path) -> list[Row]:
    """The metrics of every iteration, ordered by frames.

    Lines that are not such a row are left out, and values that are no numbers. A warning names the
    file and the line. A last line that a kill has cut is left out without a warning.
    """
    if not path.exists():
        return []
    rows = {}
    damage = []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    for number, line in enumerate(lines, 1):
        content = parsed(line)
        row = row_of(content)
        if row is not None:
            rows[row["frames"]] = row
        if row != content and number < len(lines):
            damage.append(number)
    if damage:
        warnings.warn(f"{path}, {description_of(damage)}", stacklevel=2)
    return [rows[frames] for frames in sorted(rows)]


def last_row(path: Path) -> Row | None:
    """The last complete row of a file that a run may be writing; None if there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - LAST_BYTES, 0))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return None
    rows = [row_of(parsed(line)) for line in lines[:-1]]
    known = [row for row in rows if row is not None]
    return known[-1] if known else None


def parsed(line: str) -> Any:
    """The content of a line; the line itself if it is no JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):  # ValueError also for a number of 5000 digits
        return line


def row_of(content: Any) -> Row | None:
    """The names and numbers in the content of a line; None if it is no row with `frames`."""
    if not isinstance(content, dict) or not is_count(content.get("frames")):
        return None
    return {name: value for name, value in content.items() if is_name(name) and is_number(value)}


def description_of(damage: Sequence[int]) -> str:
    """What is left out of the lines with these numbers."""
    more = f" (and of {len(damage) - 1} more lines)" if len(damage) > 1 else ""
    return f"line {damage[0]}: what is not a metric of an iteration is left out{more}"


def is_name(name: str) -> bool:
    """Is this a name that MLflow accepts: words, separated by slashes?"""
    if NAME.fullmatch(name) is None or len(name) > LONGEST_NAME:
        return False
    return ".." not in name and "." not in name.split("/")


def is_number(value: object) -> bool:
    """Is this a float, or an integer that a float can hold?"""
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) <= sys.float_info.max
    return isinstance(value, float)


def is_count(value: object) -> bool:
    """Is this a number of frames: whole, not negative, and exact as a float?"""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return 0 <= value <= MOST_FRAMES and value == int(value)


def rewrite(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Replace the file by complete rows."""
    part = path.with_name(f"{path.name}.part")
    part.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    part.replace(path)
