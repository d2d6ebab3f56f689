"""Where the data comes from: one scenario a file."""

from collections.abc import Callable
from typing import Any

import torch
from torchrl.envs import EnvBase

from ilvf.envs.base import BatchedEnv
from ilvf.envs.encircle import Encircle
from ilvf.envs.graphs import value_graph
from ilvf.errors import require

__all__ = ["BatchedEnv", "Encircle", "make_env", "value_graph"]

ENVS: dict[str, Callable[..., EnvBase]] = {"encircle": Encircle}


def make_env(
    name: str, *, num_envs: int = 1, seed: int | None = None, device: torch.device | str = "cpu", **kwargs: Any
) -> EnvBase:
    """The environment called `name`, `num_envs` copies of it; `kwargs` are its constructor's own arguments."""
    require(name in ENVS, f"env={name!r} is not known; choose one of {', '.join(ENVS)}")
    return ENVS[name](num_envs=num_envs, seed=seed, device=device, **kwargs)
