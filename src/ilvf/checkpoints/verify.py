"""Is a checkpoint complete, undamaged and finite?"""

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ilvf.errors import require

CONTENT = {  # dotted entry of a checkpoint → type
    "epoch": int,
    "state_dict": Mapping,
    "ilvf": Mapping,
    "ilvf.config": Mapping,
    "ilvf.actor": Mapping,
    "ilvf.state": Mapping,
    "ilvf.state.frames": int,
    "ilvf.state.ranks": list,
    "ilvf.wall_s": float,
}
CONFIG = {  # of a checkpoint that a command has saved
    "ilvf.config.env": Mapping,
    "ilvf.config.env.name": str,
    "ilvf.config.algorithm": Mapping,
    "ilvf.config.seed": int,
}
REPLAY = {"files": list, "position": int, "written": int, "pieces": int}  # of each process
PER_RANK = {"generators": Mapping, "env": Mapping, "checksum": str}


def require_checkpoint(path: Path, content: Any) -> None:
    """Raise unless `content` is a complete checkpoint of this library with finite weights."""
    require(
        isinstance(content, Mapping) and "ilvf" in content,
        f"{path} is not a checkpoint of this library: it has no 'ilvf' entry",
    )
    for entry, kind in CONTENT.items():
        require_entry(path, content, entry, kind)
    ranks = content["ilvf"]["state"]["ranks"]
    require(bool(ranks), f"checkpoint {path}: its entry ilvf.state.ranks is empty")
    for number, rank in enumerate(ranks):
        for name, kind in PER_RANK.items():
            require_entry(path, {"rank": rank}, f"rank.{name}", kind, f" of process {number}")
        if "replay" in rank:
            require_replay(path, rank["replay"], f" of process {number}")
    require_weights(path, content)


def require_config(path: Path, content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The config in a checkpoint, which must name environment, algorithm and seed.

    A module that was trained by hand, without a command, has no config.
    """
    config = content["ilvf"]["config"]
    require(
        bool(config),
        f"checkpoint {path} has no config, it was not saved by a command of this library; "
        "build the module as it was built, and load its state_dict",
    )
    for entry, kind in CONFIG.items():
        require_entry(path, content, entry, kind)
    return config


def require_entry(path: Path, content: Any, entry: str, kind: type, where: str = "") -> None:
    """Raise unless the dotted `entry` exists and has the type `kind`."""
    value = content
    for name in entry.split("."):
        found = isinstance(value, Mapping) and name in value
        require(found, f"checkpoint {path} has no entry {entry}{where}; it is incomplete")
        value = value[name]
    kinds = (int, float) if kind is float else kind
    fits = isinstance(value, kinds) and not (isinstance(value, bool) and kind is not bool)
    require(
        fits,
        f"checkpoint {path}: its entry {entry}{where} is a {type(value).__name__}, "
        f"not a {kind.__name__}",
    )


def require_replay(path: Path, replay: Any, where: str) -> None:
    """Raise unless a replay buffer's entry names files of the run's own folder."""
    for name, kind in REPLAY.items():
        require_entry(path, {"replay": replay}, f"replay.{name}", kind, where)
    for file in replay["files"]:
        plain = isinstance(file, str) and Path(file).name == file
        require(
            plain, f"checkpoint {path}: replay.files{where} has {file!r}, which is no file name"
        )
    counts = [replay[name] for name in ("position", "written", "pieces")]
    require(
        min(counts) >= 0 and replay["position"] <= len(replay["files"]),
        f"checkpoint {path}: the numbers of replay{where} do not fit its files",
    )


def require_weights(path: Path, content: Mapping[str, Any]) -> None:
    """Raise unless the weights are finite tensors, and those that were saved."""
    weights = content["state_dict"]
    for name, value in weights.items():
        require(
            isinstance(value, Tensor),
            f"checkpoint {path}: {name} is a {type(value).__name__}, not a tensor",
        )
        finite = not value.is_floating_point() or bool(torch.isfinite(value).all())
        require(finite, f"checkpoint {path}: {name} has entries that are NaN or infinite")
    saved = content["ilvf"]["state"]["ranks"][0]["checksum"]
    require(
        checksum_of(weights) == saved,
        f"checkpoint {path} is damaged: its weights do not have the checksum that was saved; "
        "use another copy of it",
    )
    require(
        math.isfinite(content["ilvf"]["wall_s"]),
        f"checkpoint {path}: its entry ilvf.wall_s is not a number",
    )


def checksum_of(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of all tensors, in their order."""
    digest = hashlib.sha256()
    for value in weights.values():
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
