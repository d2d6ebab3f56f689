"""Records of a run without a training: a started tracker, and the rows that it leaves."""

from pathlib import Path

from ilvf.experiment.metrics_file import METRICS, read_rows
from ilvf.experiment.resumed import Resumed
from ilvf.experiment.store import open_store, tracking_uri
from ilvf.experiment.tracking import MLflowTracker

CONFIG = {"env": {"name": "encircle"}}


def row(frames: int, value: float | None = None) -> dict[str, float]:
    """The metrics of an iteration."""
    return {
        "reward/agent_step": frames / 10 if value is None else value,
        "frames": float(frames),
    }


def row_frames(run: Path) -> list[float]:
    """The frames of the rows in `metrics.jsonl`; each row must be whole and there once."""
    path = run / METRICS
    frames = [found["frames"] for found in read_rows(path)]
    assert path.read_text().count("\n") == len(frames)
    return frames


def started_tracker(
    out: Path, run_id: str | None = None, resumed: Resumed | None = None
) -> MLflowTracker:
    """A tracker of the run in `out/run`, with an open MLflow run in the store of `out`."""
    folder = out / "run"
    folder.mkdir(exist_ok=True)
    uri = tracking_uri(out)
    open_store(uri, out, "encircle")
    tracker = MLflowTracker(uri, "encircle", "test", folder, run_id)
    tracker.start(CONFIG, 0, resumed)
    return tracker
