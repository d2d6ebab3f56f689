"""Writing, finding and reading checkpoint files."""

import os
import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from ilvf.errors import UsageError, require

RESUMED = "ILVF_RESUMED"  # environment variable: what `last` is, for the other processes of a run
READ_ERRORS = (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError)


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes a temporary file and renames it, so that a kill at any moment leaves a whole file."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        part = Path(f"{path}.part")
        part.parent.mkdir(parents=True, exist_ok=True)
        torch.save(checkpoint, part)
        part.replace(path)


def find_checkpoint(name: str, out: Path, prefer: str = "last") -> Path:
    """The checkpoint file that `name` means.

    Args:
        name: a file; a run's folder, for its checkpoint `prefer` or else `last`; or `last`, for the
            newest run below `out`.

    Raises:
        UsageError: there is none.
    """
    path = newest_run(out) if name == "last" else Path(name)
    if path.is_dir():
        folder = path / "checkpoints"
        preferred = folder / f"{prefer}.ckpt"
        path = preferred if preferred.is_file() else folder / "last.ckpt"
    require(path.is_file(), f"checkpoint {path} does not exist")
    return path.resolve()


def newest_run(out: Path) -> Path:
    """The folder of the run below `out` whose checkpoint is the newest.

    The other processes of a distributed run take what the first process found.
    """
    if "LOCAL_RANK" in os.environ and RESUMED in os.environ:
        return Path(os.environ[RESUMED])
    found = list(out.glob("*/checkpoints/last.ckpt"))
    require(
        bool(found), f"no run with a checkpoint below {out.resolve()}; give a path, or out=FOLDER"
    )
    newest = max(found, key=lambda path: path.stat().st_mtime)
    return newest.parent.parent


def run_folder(checkpoint: Path) -> Path:
    """The folder of the run that a checkpoint belongs to."""
    parent = checkpoint.parent
    return parent.parent if parent.name == "checkpoints" else parent


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint of this library, on the CPU; loads tensors and plain values only.

    Raises:
        UsageError: the file is missing, truncated or no checkpoint of this library.
    """
    require(Path(path).is_file(), f"checkpoint {path} does not exist")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except READ_ERRORS as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"checkpoint {path} cannot be read, it is truncated or no checkpoint ({reason})"
        ) from error
    require(
        isinstance(content, dict) and "ilvf" in content and "state_dict" in content,
        f"{path} is not a checkpoint of this library: it has no 'ilvf' entry",
    )
    return content
