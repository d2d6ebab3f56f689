"""Does a checkpoint fit the module that is to load it?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from ilvf.checkpoints.policy import arguments_of
from ilvf.errors import require


def require_fit(path: str | Path, content: Mapping[str, Any], module: nn.Module) -> None:
    """Raise unless the checkpoint's networks are built like `module`'s: options, names and shapes."""
    loss: Any = module.loss
    before, now = content["ilvf"].get("actor", {}), arguments_of(loss.actor)
    for key in sorted(before.keys() & now.keys()):
        require(
            before[key] == now[key],
            f"checkpoint {path} does not fit this config: {key} is {before[key]} there, {now[key]} here; leave it out",
        )
    saved, own = content["state_dict"], module.state_dict()
    require(
        not any(name.startswith("advantage.") for name in saved),
        f"checkpoint {path} was made by an older version of this library in another format; train it again",
    )
    for name in sorted({*saved, *own}):
        found = tuple(saved[name].shape) if name in saved else "missing"
        need = tuple(own[name].shape) if name in own else "missing"
        require(
            found == need,
            f"checkpoint {path} does not fit this config: {name} is {found} there, {need} here; "
            "leave out the arguments that change the networks or the environment",
        )
