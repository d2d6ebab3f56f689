"""What a run writes into its folder, whatever its logger: metrics and pictures.

SIGINT and SIGTERM wait until an iteration is recorded, so that it is recorded once.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ilvf.experiment.interrupts import signals_held
from ilvf.experiment.metrics_file import METRICS, Row, append_row, read_rows, rewrite
from ilvf.experiment.outbox import Outbox
from ilvf.experiment.resumed import Resumed, set_aside


class RunFolder:
    """The folder of a run that is in progress.

    Args:
        path: of the folder.
        outbox: says so if a file cannot be written.
    """

    def __init__(self, path: Path, outbox: Outbox):
        self.path = path
        self._outbox = outbox
        self._written_until = -1  # frames of the last row
        self._unwritten: list[tuple[int, Mapping[str, float]]] = []

    def add(self, metrics: Mapping[str, float], frames: int) -> None:
        """Add the metrics of an iteration to `metrics.jsonl`, once."""
        if frames > self._written_until:
            self._written_until = frames
            self._unwritten.append((frames, metrics))
            self.write_rows()

    def write_rows(self) -> None:
        """Append rows to `metrics.jsonl`; those that cannot be written wait for the next call."""
        try:
            while self._unwritten:
                with signals_held(patience=math.inf):
                    append_row(self.path / METRICS, *self._unwritten[0])
                    self._unwritten.pop(0)
        except OSError as error:
            path = self.path / METRICS
            self._outbox.warn_once(f"{path} cannot be written ({error.strerror})")

    def continued(self, resumed: Resumed | None) -> Sequence[Row]:
        """The rows of `metrics.jsonl` that stay; drops a line that a kill has cut."""
        path = self.path / METRICS
        rows = read_rows(path)
        if resumed is not None and resumed.replaces(row["frames"] for row in rows):
            rows = set_aside(self.path, resumed, rows)
        else:
            rewrite(path, rows)
        if rows:
            self._written_until = int(rows[-1]["frames"])
        return rows

    def save_figure(self, figure: Any, name: str) -> Path:
        """Save a matplotlib figure; its path."""
        path = self.path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110)
        return path

    def save(self, write: Callable[[Path], None], name: str) -> Path:
        """Save a file, which `write` writes; its path."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
        return path
