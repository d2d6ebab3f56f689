"""What happens to records of a run that is resumed from one of its older checkpoints.

Iterations after the checkpoint are computed again. Their records of the first time are kept under
other names, so that no curve mixes both.
"""

import json
import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ilvf.checkpoints.files import read_checkpoint
from ilvf.errors import UsageError
from ilvf.experiment.metrics_file import METRICS, Row, rewrite

HARMLESS = (  # config keys that do not change what an iteration computes
    "out",
    "preset",
    "seeds",
    "trainer.max_epochs",
    "trainer.early_stopping",
    "trainer.early_stopping_delta",
    "trainer.logger",
    "trainer.animation",
    "trainer.collector",
    "trainer.pictures",
    "trainer.save_top_k",
    "trainer.progress",
    "trainer.system_metrics",
    "trainer.threads",
)


TOP = "top-"  # begins the names of the checkpoints of the best evaluations
CHANGES = "resume.changes"  # tag of the run in MLflow: json, of all its resumes
ASIDE = "-before-resuming-at-"


@dataclass(frozen=True)
class Resumed:
    """The checkpoint that a run continues.

    Attributes:
        checkpoint: its file.
        frames: of the run when it was saved.
        next_frames: of the run after one more iteration.
        changes: config key → value, of the keys that the run changes.
        repeats: with another number of iterations, the next one is the same all the same.
    """

    checkpoint: Path
    frames: int
    next_frames: int
    changes: Mapping[str, Any]
    repeats: bool = True

    def replaces(self, recorded: Iterable[float]) -> bool:
        """Does the run have records after the checkpoint, which it must replace?

        A run that was killed between record and checkpoint has recorded one more iteration. With
        the same options that iteration gives the same results again, so its record stays.

        Args:
            recorded: the frames of all records.
        """
        later = {frames for frames in recorded if frames > self.frames}
        changed = set(self.changes) - set(HARMLESS)
        differs = bool(changed) or not self.repeats
        return bool(later) and (later != {self.next_frames} or differs)


def repeats_iteration(number: int, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Do two configs give the same iteration, as far as their numbers of iterations matter?

    The last iteration is evaluated, and `algorithm.lr_end` is reached there.

    Args:
        number: of the iteration, from 1.
        old, new: config key → value.
    """
    ends = (old.get("trainer.max_epochs"), new.get("trainer.max_epochs"))
    return ends[0] == ends[1] or (new.get("algorithm.lr_end") is None and number not in ends)


def changes_in(tags: Mapping[str, str]) -> dict[str, Any]:
    """The config keys that resumes have changed, with their last values.

    Args:
        tags: of the run in MLflow; an older version's text is no json, and is left out.
    """
    try:
        changes = json.loads(tags.get(CHANGES, "{}"))
    except json.JSONDecodeError:
        return {}
    return changes if isinstance(changes, dict) else {}


def set_aside(run_dir: Path, resumed: Resumed, rows: Sequence[Row]) -> list[Row]:
    """Keep the files of a run's later iterations under other names.

    `metrics.jsonl` is copied to `metrics-before-resuming-at-FRAMES.jsonl` and cut at the
    checkpoint. `last.ckpt` is copied likewise, and becomes a copy of the checkpoint that is
    resumed. A later `best.ckpt` is renamed likewise; if the run continues from a `top-K.ckpt`, this
    becomes the best. Later `top-K.ckpt` are renamed, too.

    Args:
        run_dir: folder of the run.
        resumed: the checkpoint.
        rows: of `metrics.jsonl`.

    Returns:
        the rows up to the checkpoint.

    Raises:
        UsageError: a file cannot be written.
    """
    last = run_dir / "checkpoints" / "last.ckpt"
    best = last.with_name("best.ckpt")
    earlier = [row for row in rows if row["frames"] <= resumed.frames]
    kept = []
    try:
        if last.is_file() and not last.samefile(resumed.checkpoint):
            kept.append(copy_aside(last, resumed.frames))
            replace_by_copy(last, resumed.checkpoint)
        if best.is_file() and frames_of(best) > resumed.frames:
            kept.append(copy_aside(best, resumed.frames))
            if resumed.checkpoint.name.startswith(TOP):
                replace_by_copy(best, resumed.checkpoint)
            else:
                best.unlink()
        for top in last.parent.glob(f"{TOP}*.ckpt"):
            if ASIDE not in top.name and frames_of(top) > resumed.frames:
                kept.append(copy_aside(top, resumed.frames))
                top.unlink()
        kept.append(copy_aside(run_dir / METRICS, resumed.frames))
        rewrite(run_dir / METRICS, earlier)
    except OSError as error:
        raise UsageError(
            f"the records after {resumed.checkpoint} cannot be kept under other names in "
            f"{run_dir} ({error.strerror})"
        ) from error
    print(
        f"note: what {run_dir / METRICS} has after {resumed.checkpoint.name} "
        f"({resumed.frames} frames) is computed again; the old files are kept as "
        f"{' and '.join(path.name for path in kept)}",
        flush=True,
    )
    return earlier


def frames_of(checkpoint: Path) -> float:
    """The frames of the run when a checkpoint was saved; infinite if it cannot be read."""
    try:
        return read_checkpoint(checkpoint)["ilvf"]["state"]["frames"]
    except UsageError:
        return math.inf


def copy_aside(path: Path, frames: int) -> Path:
    """Copy a file to `NAME-before-resuming-at-FRAMES`, or to a name like it that is free."""
    name = f"{path.stem}{ASIDE}{frames}"
    copy = path.with_name(f"{name}{path.suffix}")
    number = 1
    while copy.exists():
        number += 1
        copy = path.with_name(f"{name}-{number}{path.suffix}")
    replace_by_copy(copy, path)
    return copy


def replace_by_copy(path: Path, source: Path) -> None:
    """Make `path` a copy of `source`; it is complete at any moment."""
    part = path.with_name(f"{path.name}.part")
    shutil.copy2(source, part)
    part.replace(path)
