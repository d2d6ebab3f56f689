"""What a bit-exact continuation needs and Lightning does not save: generators, environments, the frame counter."""

import hashlib
import random
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torchrl.envs import EnvBase

from ilvf.distributed import several
from ilvf.errors import require


def save_generators() -> dict[str, Any]:
    """The states of Python's, numpy's and torch's generators, as what `torch.load(weights_only=True)` accepts."""
    state: Any = np.random.get_state(legacy=True)
    name, keys, *rest = state
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(keys.astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "cuda": [torch.cuda.get_rng_state()] if torch.cuda.is_available() else [],
    }


def load_generators(state: dict[str, Any]) -> None:
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"].cpu())
    if torch.cuda.is_available() and state["cuda"]:
        torch.cuda.set_rng_state(state["cuda"][0].cpu())


def checksum(module: nn.Module) -> str:
    """A hash of all parameters and buffers, bit by bit: equal on all processes, or something has gone wrong."""
    digest = hashlib.sha256()
    for value in module.state_dict().values():
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def save_run_state(env: EnvBase, frames: int, checksum: str, **more: Any) -> dict[str, Any]:
    """The frame counter, and every process's generators, environments and checksum, and what `more` it has."""
    own = env.get_state() if hasattr(env, "get_state") else {}
    mine = {"generators": save_generators(), "env": own, "checksum": checksum, **more}
    ranks = [mine]
    if several():
        ranks = [None] * dist.get_world_size()  # type: ignore[list-item]
        dist.all_gather_object(ranks, mine)
    return {"frames": frames, "ranks": ranks}


def load_env(state: dict[str, Any], env: EnvBase, rank: int, world_size: int) -> None:
    """Put this process's environments where they were; the next reset returns that state.

    Environments that cannot be put anywhere get another seed instead, so that they do not repeat their first episodes.
    """
    found = len(state["ranks"])
    require(
        found == world_size,
        f"the checkpoint is of {found} processes, this run has {world_size}; use the same number",
    )
    saved = state["ranks"][rank]["env"]
    if saved:
        env.set_state(saved)
    else:
        then = torch.Generator()
        then.set_state(state["ranks"][rank]["generators"]["torch"].cpu())
        env.set_seed(int(torch.randint(2**30, (), generator=then)))
