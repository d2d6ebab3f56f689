"""Can Lightning restore its part of a checkpoint: loops, callbacks, optimizers and schedulers?

Lightning takes these entries as they are. A wrong one would end in a traceback, or in a run that
goes on with other counts than it was saved with.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ilvf.checkpoints.verify import require_entry
from ilvf.errors import require
from ilvf.options import one_line, shown

ENTRIES = {  # entry of a checkpoint → type
    "global_step": int,
    "pytorch-lightning_version": str,
    "loops": Mapping,
    "loops.fit_loop": Mapping,
    "callbacks": Mapping,
    "optimizer_states": list,
    "lr_schedulers": list,
}
VERSION = re.compile(  # of Lightning, from 2.0
    r"([2-9]|[1-9]\d+)\.\d+(\.\d+)?((a|b|rc|\.post|\.dev)\d+)?"
)


def counts(*names: str) -> dict[str, Any]:
    """An example of the counts of a loop: in total, and of the present epoch."""
    return {"total": dict.fromkeys(names, 0), "current": dict.fromkeys(names, 0)}


ALL = ("ready", "completed", "started", "processed")
FIT_LOOP: dict[str, Any] = {  # entry of the training loop → example of its form
    "state_dict": {},
    "epoch_loop.state_dict": {"_batches_that_stepped": 0},
    "epoch_loop.batch_progress": {**counts(*ALL), "is_last_batch": False},
    "epoch_loop.scheduler_progress": counts("ready", "completed"),
    "epoch_loop.automatic_optimization.state_dict": {},
    "epoch_loop.automatic_optimization.optim_progress": {
        "optimizer": {
            "step": counts("ready", "completed"),
            "zero_grad": counts("ready", "completed", "started"),
        }
    },
    "epoch_loop.manual_optimization.state_dict": {},
    "epoch_loop.manual_optimization.optim_step_progress": counts("ready", "completed"),
    "epoch_loop.val_loop.state_dict": {},
    "epoch_loop.val_loop.batch_progress": {**counts(*ALL), "is_last_batch": False},
    "epoch_progress": counts(*ALL),
}
SCORES = ("best_model_score", "current_score", "kth_value")  # of ModelCheckpoint
PATHS = ("best_model_path", "kth_best_model_path", "last_model_path")


def require_lightning_state(path: Path, content: Mapping[str, Any]) -> None:
    """Raise unless Lightning can restore its part of a checkpoint that `require_checkpoint` passed.

    Raises:
        UsageError: an entry is missing, of another type or form; names it.
    """
    for entry, kind in ENTRIES.items():
        require_entry(path, content, entry, kind)
    require_version(path, content["pytorch-lightning_version"])
    require_loops(path, content["loops"]["fit_loop"], content["epoch"])
    for name, state in content["callbacks"].items():
        require_entry(
            path, {"callbacks": state}, "callbacks", Mapping, f" of {one_line(str(name))}"
        )
        if str(name).startswith("ModelCheckpoint"):
            require_model_checkpoint(path, state)
    states = content["optimizer_states"]
    require(
        len(states) == 1 and isinstance(states[0], Mapping),
        f"checkpoint {path}: its entry optimizer_states must have the state of one optimizer",
    )


def require_version(path: Path, text: str) -> None:
    """Raise unless a version of Lightning wrote the checkpoint whose format is known."""
    require(
        VERSION.fullmatch(text) is not None,
        f"checkpoint {path}: its entry pytorch-lightning_version is {shown(text)}, which "
        "must be a version from 2.0",
    )


def require_loops(path: Path, loop: Mapping[str, Any], epoch: int) -> None:
    """Raise unless the state of the training loop has the form of `FIT_LOOP`.

    Entries of other versions of Lightning may be missing, except the counts of epochs.
    """
    require_entry(path, loop, "epoch_progress", Mapping, " of loops.fit_loop")
    for name, example in FIT_LOOP.items():
        if name in loop:
            require_form(path, f"loops.fit_loop.{name}", loop[name], example)
    done = loop["epoch_progress"]["current"]["completed"]
    require(done == epoch, f"checkpoint {path}: its epoch is {epoch}, but its loops have {done}")


def require_form(path: Path, entry: str, value: Any, example: Any) -> None:
    """Raise unless `value` has the entries and types of `example`, and no negative number."""
    if isinstance(example, Mapping):
        require(
            isinstance(value, Mapping),
            f"checkpoint {path}: its entry {entry} is a {type(value).__name__}, not a mapping",
        )
        for name, inner in example.items():
            require(name in value, f"checkpoint {path} has no entry {entry}.{name}")
            require_form(path, f"{entry}.{name}", value[name], inner)
        return
    require(
        type(value) is type(example) and 0 <= value < 2**63,
        f"checkpoint {path}: its entry {entry} is {shown(value)}, which must be "
        f"{'a count' if type(example) is int else 'true or false'}",
    )


def require_model_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Raise unless the state of a `ModelCheckpoint` has numbers and plain paths.

    Lightning deletes the files that these paths name when it saves better ones. It keeps to the
    run's own folder, but not for an address such as `local:///home/...`, or for a path with `..`.
    """
    where = " of callbacks.ModelCheckpoint"
    for name in ("dirpath", *PATHS):
        require_entry(path, state, name, str, where)
        require_plain_path(path, name, state[name])
    for name in SCORES:
        require_score(path, name, state.get(name))
    require_entry(path, state, "best_k_models", Mapping, where)
    for file, score in state["best_k_models"].items():
        require_plain_path(path, "best_k_models", file)
        require_score(path, "best_k_models", score)


def require_plain_path(path: Path, name: str, file: Any) -> None:
    """Raise unless `file` is the absolute path of a file of this machine, or empty."""
    plain = file == "" or (
        isinstance(file, str)
        and os.path.isabs(file)
        and not any(mark in file for mark in ("::", "://"))
        and ".." not in Path(file).parts
    )
    require(
        plain,
        f"checkpoint {path}: {name} of callbacks.ModelCheckpoint has {shown(file)}, which "
        "is no plain path",
    )


def require_score(path: Path, name: str, score: Any) -> None:
    """Raise unless `score` is one number, or None."""
    is_number = isinstance(score, Tensor) and score.numel() == 1 and score.is_floating_point()
    require(
        score is None or is_number,
        f"checkpoint {path}: {name} of callbacks.ModelCheckpoint is {shown(score)}, not a number",
    )
