"""The checkpoint that an argument names, and whether a run can continue from it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ilvf.checkpoints.files import find_checkpoint, read_checkpoint
from ilvf.checkpoints.lightning_state import require_lightning_state
from ilvf.checkpoints.state import require_generators
from ilvf.checkpoints.verify import require_entry
from ilvf.errors import UsageError
from ilvf.options import one_line


def checkpoint_of(key: str, name: str, out: Path) -> tuple[Path, dict[str, Any]]:
    """(path, content) of the checkpoint that `key=name` names.

    Args:
        key: "resume" for a run's last checkpoint, "checkpoint" for its best.
        name: see `find_checkpoint`.
        out: folder of runs.

    Raises:
        UsageError: there is none, or it cannot be read.
    """
    try:
        path = find_checkpoint(name, out, prefer="last" if key == "resume" else "best")
        return path, read_checkpoint(path)
    except OSError as error:
        raise UsageError(
            f"{key}={one_line(name)} cannot be read: {error.filename} ({error.strerror})"
        ) from error


def require_resumable(path: Path, content: Mapping[str, Any], off_policy: bool) -> None:
    """Raise unless a run can continue from a checkpoint, as far as its content tells.

    Args:
        off_policy: the algorithm continues from a replay buffer.
    """
    require_lightning_state(path, content)
    ranks = content["ilvf"]["state"]["ranks"]
    require_generators(path, ranks)
    if off_policy:
        for number, rank in enumerate(ranks):
            require_entry(path, rank, "replay", Mapping, f" of process {number}")
