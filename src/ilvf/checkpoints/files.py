"""Writing, finding and reading checkpoint files."""

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from tqdm.auto import tqdm

from ilvf.checkpoints.verify import require_checkpoint
from ilvf.checkpoints.zoo import is_zoo, zoo_checkpoint
from ilvf.data.tensor_files import load_tensors
from ilvf.distributed import decided_by_first, launched, several
from ilvf.errors import UsageError, require

RESUMED = "ILVF_RESUMED"  # environment variable: what `last` is, for the other processes of a run


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes a temporary file and renames it, so that a kill at any moment leaves a whole file.

    A checkpoint that cannot be written does not end the run: the last good one is kept, and the
    next iteration tries again.

    Attributes:
        failed: path → reason, of checkpoints whose last attempt failed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.failed: dict[Path, str] = {}

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        path = Path(path)
        part = path.with_name(f"{path.name}.part")
        try:
            part.parent.mkdir(parents=True, exist_ok=True)
            torch.save(checkpoint, part)
            part.replace(path)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
            self._note(path, part, error)
        else:
            self.failed.pop(path, None)

    def _note(self, path: Path, part: Path, error: Exception) -> None:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        first = path not in self.failed
        self.failed[path] = str(error).strip().splitlines()[0]
        if first:
            tqdm.write(
                f"the checkpoint {path} cannot be written ({self.failed[path]}); training "
                "continues, and the next iteration tries again",
                file=sys.stderr,
            )

    def load_checkpoint(self, path: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The verified content; see `read_checkpoint`."""
        return read_checkpoint(path)

    def require_saved(self, path: Path) -> None:
        """Raise if the last attempt to write `path` failed."""
        if path in self.failed:
            kept = f"{path} is of an earlier iteration" if path.is_file() else "there is none"
            raise UsageError(
                f"the last checkpoint could not be written to {path} ({self.failed[path]}); {kept}"
            )


def find_checkpoint(name: str, out: Path, prefer: str = "last") -> Path:
    """The checkpoint file that `name` means.

    In a run of several processes the first one finds it, because files change while the others
    look. The processes of a launcher are told; those that Lightning starts inherit what `last` is.

    Args:
        name: a file; a run's folder, for its checkpoint `prefer` or else `last`; `last`, for the
            newest run below `out`; or `zoo:NAME`, a team that comes with the package.

    Raises:
        UsageError: there is none.
    """
    inherited = RESUMED in os.environ and started_by_lightning() and not several()
    if name == "last" and inherited:
        return Path(os.environ[RESUMED])
    return Path(decided_by_first(lambda: str(_find(name, out, prefer))))


def started_by_lightning() -> bool:
    """Is this a process that Lightning started for a run of several processes?"""
    return "LOCAL_RANK" in os.environ and launched() is None


def _find(name: str, out: Path, prefer: str) -> Path:
    """The checkpoint file that `name` means, as this process sees the files."""
    if is_zoo(name):
        return zoo_checkpoint(name)
    path = newest_run(out) if name == "last" else Path(name)
    if path.is_dir():
        folder = path / "checkpoints"
        preferred = folder / f"{prefer}.ckpt"
        path = preferred if preferred.is_file() else folder / "last.ckpt"
    require(path.is_file(), f"checkpoint {path} does not exist")
    return path.resolve()


def newest_run(out: Path) -> Path:
    """The folder of the run below `out` that was active last.

    Raises:
        UsageError: there is none, or the newest has no checkpoint.
    """
    runs = sorted(folders_of_runs(out), key=last_active)
    require(
        bool(runs),
        f"no run with a checkpoint below {out.resolve()}; give its path by checkpoint= or resume=, "
        "or the folder of runs by out=",
    )
    newest = runs[-1]
    older = [run for run in runs if has_checkpoint(run)]
    advice = f"; the newest that has one is {older[-1]}" if older else ""
    require(
        has_checkpoint(newest),
        f"the newest run {newest} has no checkpoint, it ended before its first{advice}",
    )
    return newest


def folders_of_runs(out: Path) -> list[Path]:
    """The folders below `out` in which a run has begun."""
    found = {path.parent for path in out.glob("*/run.lock")}
    found |= {path.parent.parent for path in out.glob("*/checkpoints/last.ckpt")}
    return list(found)


def has_checkpoint(run: Path) -> bool:
    """Has the run in this folder saved a checkpoint?"""
    return (run / "checkpoints" / "last.ckpt").is_file()


def last_active(run: Path) -> float:
    """When the run in this folder last wrote one of its files [s]."""
    files = (run / "run.lock", run / "metrics.jsonl", run / "checkpoints" / "last.ckpt")
    return max(path.stat().st_mtime for path in files if path.is_file())


def run_folder(checkpoint: Path) -> Path:
    """The folder of the run that a checkpoint belongs to."""
    parent = checkpoint.parent
    return parent.parent if parent.name == "checkpoints" else parent


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint of this library, on the CPU; verified, tensors and values only.

    Raises:
        UsageError: the file is missing, damaged, incomplete or no checkpoint of this library, or
            its weights are not finite.
    """
    path = Path(path)
    content = load_tensors(path, "checkpoint")
    require_checkpoint(path, content)
    return content
