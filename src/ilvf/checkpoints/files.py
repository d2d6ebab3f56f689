"""Finding, reading and using checkpoints."""

import os
import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from ilvf.errors import UsageError, require

RESUMED = "ILVF_RESUMED"  # tells the other processes of a run what `last` was


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes beside the target and renames, so that a kill at any moment leaves a whole checkpoint."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        part = Path(f"{path}.part")
        part.parent.mkdir(parents=True, exist_ok=True)
        torch.save(checkpoint, part)
        part.replace(path)


def find_checkpoint(name: str, out: Path, prefer: str = "last") -> Path:
    """`last` → the newest run below `out`; a run's folder → its `prefer` checkpoint, or the other; a file → itself."""
    path = Path(name)
    if name == "last" and "LOCAL_RANK" in os.environ and RESUMED in os.environ:
        path = Path(os.environ[RESUMED])  # what the first process of this run has found
    elif name == "last":
        found = sorted(out.glob("*/checkpoints/last.ckpt"), key=lambda p: p.stat().st_mtime)
        require(
            bool(found),
            f"no run with a checkpoint below {out.resolve()}; give a path, or out=FOLDER",
        )
        path = found[-1].parent.parent
    if path.is_dir():
        choices = [path / "checkpoints" / f"{k}.ckpt" for k in (prefer, "last")]
        path = next((p for p in choices if p.is_file()), choices[0])
    require(path.is_file(), f"checkpoint {path} does not exist")
    return path.resolve()


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The content of one of our checkpoints, loaded with `weights_only=True` on the CPU."""
    require(Path(path).is_file(), f"checkpoint {path} does not exist")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"checkpoint {path} cannot be read, it is truncated or no checkpoint ({reason})"
        ) from error
    require(
        isinstance(content, dict) and "ilvf" in content and "state_dict" in content,
        f"{path} is not a checkpoint of this library: it has no 'ilvf' entry",
    )
    return content
