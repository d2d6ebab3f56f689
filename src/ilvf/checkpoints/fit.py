"""Does a checkpoint fit the module that is to load it, and is everything there that it needs?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ilvf.checkpoints.policy import arguments_of
from ilvf.checkpoints.restoring import restoring
from ilvf.checkpoints.verify import ACTOR
from ilvf.data.replay import folder_of, read_rollout
from ilvf.errors import require
from ilvf.options import one_line, shown

MOMENTS = ("exp_avg", "exp_avg_sq")  # of Adam
NEEDED = ("params", "name", "betas", "weight_decay")  # settings of a group of parameters
REPLACED = ("params", "lr", "eps")  # settings of a group that a resumed run sets anew


def require_fit(path: str | Path, content: Mapping[str, Any], module: nn.Module) -> None:
    """Raise unless the checkpoint's networks equal `module`'s in options, names and shapes.

    The state of Adam is compared too, unless the checkpoint has none.
    """
    loss: Any = module.loss
    saved = content["ilvf"].get("actor", {})
    built = arguments_of(loss.actor)
    for key in sorted(saved.keys() & built.keys()):
        same = type(saved[key]) is type(built[key]) and saved[key] == built[key]
        require(
            same,
            f"checkpoint {path} does not fit this config: {key} is {one_line(str(saved[key]))} "
            f"there, {built[key]} here; leave it out",
        )
    require_same_shapes(path, content["state_dict"], module.state_dict())
    if content.get("optimizer_states"):
        require_optimizer(path, content, module)


def require_same_shapes(
    path: str | Path, saved: Mapping[str, Any], built: Mapping[str, Any]
) -> None:
    """Raise unless two state dicts have the same names, shapes and types of numbers."""
    require(
        not any(name.startswith("advantage.") for name in saved),
        f"checkpoint {path} was made by an older version of this library in another format; "
        "train it again",
    )
    require(
        any(not name.startswith(ACTOR) for name in saved),
        f"checkpoint {path} has the actor alone: it can be evaluated, exported and loaded as a "
        "policy; for anything else take the checkpoint of a run",
    )
    for name in sorted({*saved, *built}):
        found = form_of(saved[name]) if name in saved else "missing"
        need = form_of(built[name]) if name in built else "missing"
        require(
            found == need,
            f"checkpoint {path} does not fit this config: {name} is {found} there, {need} here; "
            "leave out the arguments that change the networks or the environment",
        )


def form_of(x: Tensor) -> str:
    """Type and shape of a tensor: "float32 (4, 8)"."""
    return f"{str(x.dtype).removeprefix('torch.')} {tuple(x.shape)}"


def require_optimizer(path: str | Path, content: Mapping[str, Any], module: Any) -> None:
    """Raise unless a saved state of Adam fits the optimizer of `module`."""
    built = module.configure_optimizers()
    if not isinstance(built, torch.optim.Adam):  # an algorithm with an optimizer of its own
        return
    with restoring("optimizer", f"checkpoint {path}"):
        saved = content["optimizer_states"][0]
        require_same_groups(saved["param_groups"], built.param_groups)
        parameters = [p for group in built.param_groups for p in group["params"]]
        require(bool(saved["state"]) or content["global_step"] == 0, "it has no moments")
        for index, moments in saved["state"].items():
            known = type(index) is int and 0 <= index < len(parameters)
            require(known, f"there is no parameter {shown(index)}")
            require_moments(index, moments, parameters[index])


def require_same_groups(saved: Any, built: Any) -> None:
    """Raise unless groups of parameters have the same parameters and settings."""
    require(len(saved) == len(built), f"{len(saved)} groups of parameters, not {len(built)}")
    first = 0
    for old, new in zip(saved, built, strict=True):
        for name in NEEDED:
            require(name in old, f"{name} of a group is missing")
        numbers = list(range(first, first + len(new["params"])))
        require(old["params"] == numbers, f"the parameters of {new['name']} are others")
        first += len(numbers)
        for name, value in new.items():
            if name not in REPLACED and name in old:
                same = type(old[name]) is type(value) and old[name] == value
                require(same, f"{name} is {shown(old[name])}, not {shown(value)}")


def require_moments(index: int, moments: Any, parameter: Tensor) -> None:
    """Raise unless Adam's moments of a parameter are finite and of its shape."""
    require(isinstance(moments, Mapping), f"the moments of parameter {index} are no mapping")
    require(moments["step"].numel() == 1, f"the step of parameter {index} is not one number")
    for name in MOMENTS:
        moment = moments[name]
        found = form_of(moment)
        need = form_of(parameter)
        require(found == need, f"{name} of parameter {index} is {found}, not {need}")
        require(bool(torch.isfinite(moment).all()), f"{name} of parameter {index} is not finite")
    require(
        bool((moments["exp_avg_sq"] >= 0).all()), f"exp_avg_sq of parameter {index} is negative"
    )


def require_same_size(
    content: Mapping[str, Any], world_size: int, num_envs: int, workers: int = 0
) -> None:
    """Raise unless a run has the processes and environments that its checkpoint has states of.

    Args:
        workers: see `require_same_workers`.
    """
    ranks = content["ilvf"]["state"]["ranks"]
    require(
        len(ranks) == world_size,
        f"the checkpoint is of {len(ranks)} processes, this run has {world_size}; "
        "use the same trainer.devices",
    )
    require_same_workers(ranks[0], workers)
    with restoring("environments"):
        found = environments_of(ranks[0])
    require(
        found <= {num_envs},
        f"the checkpoint has {found} environments a process, this run {num_envs}; "
        "leave out algorithm.num_envs",
    )


def environments_of(saved: Mapping[str, Any]) -> set[int]:
    """The number of environments in a process's saved state; other numbers too if it is damaged.

    None if the environments could not be saved.
    """
    sizes = []
    for part in saved.get("workers", [saved]):
        sizes.append({len(value) for key, value in part["env"].items() if key != "rng"})
    if all(len(found) == 1 for found in sizes):
        return {sum(min(found) for found in sizes)}
    return set().union(*sizes)


def require_same_workers(saved: Mapping[str, Any], workers: int) -> None:
    """Raise unless a process has the workers that its saved state is of.

    Args:
        saved: state of the process.
        workers: that collect for it; 0 if it collects itself.
    """
    found = len(saved.get("workers", ()))
    places = {0: "the run's own process"}
    there = places.get(found, f"{found} workers")
    here = places.get(workers, f"{workers} workers")
    require(
        found == workers,
        f"the checkpoint has the environments of {there}, this run collects in {here}; use the "
        "same trainer.collector and trainer.collector_workers",
    )


def is_complete(path: Path, content: Mapping[str, Any], max_epochs: int) -> bool:
    """Is this the `last.ckpt` of a run that has done all iterations of its config?"""
    is_last = path.name == "last.ckpt" and path.parent.name == "checkpoints"
    planned = content["ilvf"]["config"].get("trainer", {}).get("max_epochs")
    return is_last and content["epoch"] + 1 == planned == max_epochs


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
