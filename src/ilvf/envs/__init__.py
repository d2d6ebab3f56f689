"""Environments: batched TorchRL environments, one file or folder each.

The class of each declared environment (`ilvf.envs.options`) can be imported from here.
"""

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ilvf.envs.options import classes, declaration_of
from ilvf.errors import require
from ilvf.lazy import lazily, listing, names_of
from ilvf.options import configure
from ilvf.options.arguments import require_batch, require_names

if TYPE_CHECKING:
    import torch
    from torchrl.envs import EnvBase

PETTINGZOO = "pettingzoo"
_PUBLIC = {
    "base": ["BatchedEnv", "BatchedWorlds"],
    "graphs": ["value_graph"],
    "check": ["check_env", "EnvFacts"],
    "tabular.theory": ["TabularGame"],
    "tabular.games": ["make_game"],
    "pettingzoo.export": ["as_pettingzoo"],
    **classes(),
}

__getattr__ = lazily(__name__, _PUBLIC)

__dir__ = listing(["make_env", *names_of(_PUBLIC)])


def make_env(
    name: str,
    *,
    num_envs: int = 1,
    seed: int | None = None,
    device: "torch.device | str" = "cpu",
    **options: Any,
) -> "EnvBase":
    """`num_envs` copies of the environment called `name`, as one batched TorchRL environment.

    Args:
        name: a declared environment (`ilvf.envs.options`), or `pettingzoo/package.module`, a
            PettingZoo parallel environment.
        num_envs: B, copies that are stepped side by side.
        seed: of the environment; None draws one from torch's generator.
        device: where its tensors are.
        **options: fields of the environment's option dataclass.

    Raises:
        UsageError: an unknown name or option, or a value out of bounds.
    """
    require_names("make_env", name=name)
    require_batch("make_env", num_envs, seed, device)
    if name == PETTINGZOO or name.startswith(f"{PETTINGZOO}/"):
        options["task"] = pettingzoo_task(name, options)
        name = PETTINGZOO
    declared = declaration_of(name)
    values = configure(declared.options, options, f"env={name}")
    module, _, function = declared.make.partition(":")
    make = getattr(importlib.import_module(module), function)
    return make(num_envs=num_envs, seed=seed, device=device, **vars(values))


def pettingzoo_task(name: str, options: Mapping[str, Any]) -> str:
    """The task of `pettingzoo/TASK`, or of `pettingzoo` with the option `task`."""
    task = options.get("task") or name.removeprefix(PETTINGZOO).removeprefix("/")
    require(
        bool(task),
        f"{name} needs a task: {PETTINGZOO}/package.module, "
        f"such as {PETTINGZOO}/mpe2.simple_spread_v3",
    )
    return task
