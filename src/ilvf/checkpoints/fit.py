"""Does a checkpoint fit the module that is to load it, and is everything there that it needs?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from ilvf.checkpoints.policy import arguments_of
from ilvf.data.replay import folder_of, read_rollout
from ilvf.errors import require


def require_fit(path: str | Path, content: Mapping[str, Any], module: nn.Module) -> None:
    """Raise unless the checkpoint's networks equal `module`'s in options, names and shapes."""
    loss: Any = module.loss
    saved = content["ilvf"].get("actor", {})
    built = arguments_of(loss.actor)
    for key in sorted(saved.keys() & built.keys()):
        require(
            saved[key] == built[key],
            f"checkpoint {path} does not fit this config: {key} is {saved[key]} there, "
            f"{built[key]} here; leave it out",
        )
    require_same_shapes(path, content["state_dict"], module.state_dict())


def require_same_shapes(
    path: str | Path, saved: Mapping[str, Any], built: Mapping[str, Any]
) -> None:
    """Raise unless two state dicts have the same names and shapes."""
    require(
        not any(name.startswith("advantage.") for name in saved),
        f"checkpoint {path} was made by an older version of this library in another format; "
        "train it again",
    )
    for name in sorted({*saved, *built}):
        found = tuple(saved[name].shape) if name in saved else "missing"
        need = tuple(built[name].shape) if name in built else "missing"
        require(
            found == need,
            f"checkpoint {path} does not fit this config: {name} is {found} there, {need} here; "
            "leave out the arguments that change the networks or the environment",
        )


def require_same_size(content: Mapping[str, Any], world_size: int, num_envs: int) -> None:
    """Raise unless a run has the processes and environments that its checkpoint has states of."""
    ranks = content["ilvf"]["state"]["ranks"]
    require(
        len(ranks) == world_size,
        f"the checkpoint is of {len(ranks)} processes, this run has {world_size}; "
        "use the same trainer.devices",
    )
    found = {len(value) for key, value in ranks[0]["env"].items() if key != "rng"}
    require(
        found <= {num_envs},
        f"the checkpoint has {found} environments a process, this run {num_envs}; "
        "leave out algorithm.num_envs",
    )


def require_more_iterations(content: Mapping[str, Any], max_epochs: int) -> None:
    """Raise unless a run goes on for more iterations than its checkpoint has."""
    done = content["epoch"] + 1
    require(
        max_epochs > done,
        f"the run has done {done} iterations already; trainer.max_epochs={max_epochs} must be more",
    )


def require_replay_files(path: Path, content: Mapping[str, Any]) -> None:
    """Raise unless the replay files that a checkpoint refers to are there and readable."""
    for rank in content["ilvf"]["state"]["ranks"]:
        for name in rank.get("replay", {}).get("files", ()):
            read_rollout(folder_of(path) / name)
