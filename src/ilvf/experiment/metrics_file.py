"""`metrics.jsonl`: the metrics of every iteration, in the run's folder."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

METRICS = "metrics.jsonl"


def append_row(path: Path, frames: int, metrics: Mapping[str, float]) -> None:
    """Add the metrics of one iteration."""
    with path.open("a") as file:
        file.write(json.dumps({"frames": frames, **metrics}) + "\n")


def read_rows(path: Path) -> list[dict[str, float]]:
    """The metrics of every iteration; an incomplete last line, after a kill, is left out."""
    rows: list[dict[str, float]] = []
    if not path.exists():
        return rows
    for line in path.read_text().splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            rows.append(json.loads(line))
    return rows


def rewrite(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Replace the file by complete rows."""
    part = path.with_name(f"{path.name}.part")
    part.write_text("".join(json.dumps(row) + "\n" for row in rows))
    part.replace(path)
