"""Is a checkpoint complete, undamaged and finite?"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ilvf.checkpoints.restoring import restoring
from ilvf.errors import require
from ilvf.options import one_line, shown

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
COUNTS = ("epoch", "ilvf.state.frames", "ilvf.wall_s")  # which are not negative
ACTOR = "loss.actor."  # begins the names of the actor's parameters in `state_dict`
DEEPEST = 40  # levels of mappings and lists in a checkpoint
MOST = 1_000_000  # values in a checkpoint
PLAIN = (str, int, float, bool)  # types of the values of a config
REPLAY = {"files": list, "position": int, "written": int, "pieces": int}  # of each process
PER_RANK = {"generators": Mapping, "env": Mapping, "checksum": str}


def require_checkpoint(path: Path, content: Any) -> None:
    """Raise unless `content` is a complete checkpoint of this library with finite weights."""
    require(
        isinstance(content, Mapping) and "ilvf" in content,
        f"{path} is not a checkpoint of this library: it has no 'ilvf' entry",
    )
    require_tree(path, content)
    for entry, kind in CONTENT.items():
        require_entry(path, content, entry, kind)
    for entry in COUNTS:
        require_count(path, content, entry)
    require(
        isinstance(content["ilvf"].get("run", 0), str | None),
        f"checkpoint {path}: its entry ilvf.run must be the id of a run in MLflow, or None",
    )
    ranks = content["ilvf"]["state"]["ranks"]
    require(bool(ranks), f"checkpoint {path}: its entry ilvf.state.ranks is empty")
    for number, rank in enumerate(ranks):
        for name, kind in PER_RANK.items():
            require_entry(path, {"rank": rank}, f"rank.{name}", kind, f" of process {number}")
        for worker, state in enumerate(require_workers(path, rank, number)):
            for name in ("generators", "env"):
                where = f" of worker {worker} of process {number}"
                require_entry(path, {"worker": state}, f"worker.{name}", Mapping, where)
        if "replay" in rank:
            require_replay(path, rank["replay"], f" of process {number}")
    require_weights(path, content)


def require_tree(path: Path, content: Mapping[str, Any]) -> None:
    """Raise unless the values are limited in depth, number and size, so that none holds itself."""
    waiting: list[tuple[Any, int]] = [(content, 0)]
    number = 1
    while waiting:
        value, depth = waiting.pop()
        children: Any = ()
        if isinstance(value, Mapping):
            children = value.values()
        elif isinstance(value, list | tuple):
            children = value
        require(
            not isinstance(value, int) or abs(value) < 2**64,
            f"checkpoint {path} has a whole number beyond 2^64; use another copy of it",
        )
        number += len(children)
        require(
            depth <= DEEPEST and number <= MOST,
            f"checkpoint {path} is nested more than {DEEPEST} levels deep or has more than {MOST} "
            "values; use another copy of it",
        )
        waiting += [(child, depth + 1) for child in children]


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
    for section in ("recipe", "trainer"):  # the first version did not name its recipe
        if section in config:
            kind = str if section == "recipe" else Mapping
            require_entry(path, content, f"ilvf.config.{section}", kind)
    require_plain_values(path, "ilvf.config", config)
    return config


def require_plain_values(path: Path, entry: str, value: Any) -> None:
    """Raise unless `value` consists of mappings, lists, words, numbers, truth values and None."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            require(
                isinstance(name, str | int | float),
                f"checkpoint {path}: its entry {entry} has the key {shown(name)}, which "
                "must be a word",
            )
            require_plain_values(path, f"{entry}.{one_line(str(name))}", inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            require_plain_values(path, entry, inner)
    else:
        require(
            value is None or isinstance(value, PLAIN),
            f"checkpoint {path}: its entry {entry} is a {type(value).__name__}, which no option is",
        )


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


def require_count(path: Path, content: Any, entry: str) -> None:
    """Raise unless the number at a dotted `entry` is finite and not negative."""
    value = content
    for name in entry.split("."):
        value = value[name]
    require(
        0 <= value < 2**63,
        f"checkpoint {path}: its entry {entry} is {shown(value)}, which must be finite "
        "and not negative",
    )


def require_workers(path: Path, rank: Mapping[str, Any], number: int) -> list[Any]:
    """The states of a process's workers, if it has some.

    Raises:
        UsageError: they are no list, or there are none in it.
    """
    if "workers" not in rank:
        return []
    require_entry(path, rank, "workers", list, f" of process {number}")
    require(
        bool(rank["workers"]),
        f"checkpoint {path}: its entry workers of process {number} is empty",
    )
    return rank["workers"]


def require_replay(path: Path, replay: Any, where: str) -> None:
    """Raise unless a replay buffer's entry names files of the run's own folder."""
    for name, kind in REPLAY.items():
        require_entry(path, {"replay": replay}, f"replay.{name}", kind, where)
    for file in replay["files"]:
        plain = isinstance(file, str) and Path(file).name == file
        require(
            plain, f"checkpoint {path}: replay.files{where} has {file!r}, which is no file name"
        )
    files = len(replay["files"])
    position, written, pieces = (replay[name] for name in ("position", "written", "pieces"))
    filling = files < pieces and position == files
    full = files == pieces and 0 <= position < pieces
    require(
        (files == 0 or filling or full) and written >= files,
        f"checkpoint {path}: the numbers of replay{where} do not fit its files",
    )


def require_weights(path: Path, content: Mapping[str, Any]) -> None:
    """Raise unless the weights are finite tensors, and those that were saved."""
    weights = content["state_dict"]
    for name, value in weights.items():
        require(
            isinstance(name, str) and isinstance(value, Tensor),
            f"checkpoint {path}: {one_line(str(name))} is a {type(value).__name__}, not a tensor",
        )
        with restoring(name, path):
            finite = not value.is_floating_point() or bool(torch.isfinite(value).all())
        require(finite, f"checkpoint {path}: {name} has entries that are NaN or infinite")
    saved = content["ilvf"]["state"]["ranks"][0]["checksum"]
    with restoring("weights", path):
        found = checksum_of(weights)
    require(
        found == saved,
        f"checkpoint {path} is damaged: its weights do not have the checksum that was saved; "
        "use another copy of it",
    )


def checksum_of(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of all tensors, in their order; equal on all processes of a healthy run."""
    digest = hashlib.sha256()
    for value in weights.values():
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
