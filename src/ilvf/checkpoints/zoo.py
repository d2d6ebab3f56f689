"""Trained teams that come with the package: `zoo:NAME` wherever a checkpoint can be named.

Each is a checkpoint with the actor alone, in half precision, so that it is small. It can be
evaluated, exported and loaded as a policy. What reads the critic (the audit, the influence over an
episode) and what continues a training needs the whole checkpoint of a run.
"""

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from ilvf.checkpoints.verify import ACTOR, checksum_of
from ilvf.errors import require
from ilvf.options import nearest

SCHEME = "zoo:"
FOLDER = Path(str(files("ilvf"))) / "zoo"
LIST = FOLDER / "zoo.json"


def entries() -> dict[str, dict[str, Any]]:
    """Name → task, algorithm, seed, commit, command and scores of a trained team."""
    found: dict[str, dict[str, Any]] = json.loads(LIST.read_text())
    return found


def is_zoo(name: str) -> bool:
    """Does the name of a checkpoint mean one of the zoo?"""
    return name.startswith(SCHEME)


def zoo_checkpoint(name: str) -> Path:
    """The file of `zoo:NAME`.

    Raises:
        UsageError: there is no such team.
    """
    wanted = name.removeprefix(SCHEME)
    known = list(entries())
    require(
        wanted in known,
        f"{name}: there is no such team; choose one of {', '.join(known)}{nearest(wanted, known)}",
    )
    return FOLDER / f"{wanted}.ckpt"


def actor_only(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a checkpoint without critic, optimiser, environments and random numbers.

    The weights are in half precision. Networks that load them have single precision again.
    """
    ilvf = content["ilvf"]
    weights = {}
    for name, value in content["state_dict"].items():
        if name.startswith(ACTOR):
            weights[name] = value.half() if value.is_floating_point() else value.clone()
    rank = {"generators": {}, "env": {}, "checksum": checksum_of(weights)}
    return {
        "epoch": content["epoch"],
        "state_dict": weights,
        "ilvf": {
            "config": {**ilvf["config"], "out": "runs"},
            "actor": ilvf["actor"],
            "run": None,
            "wall_s": ilvf["wall_s"],
            "state": {"frames": ilvf["state"]["frames"], "ranks": [rank]},
        },
    }
