"""State for a bit-exact continuation that Lightning does not save.

Random generators, environments and the frame counter, per process.
"""

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
    """The states of Python's, numpy's and torch's generators, in types that load safely."""
    state: Any = np.random.get_state(legacy=True)  # noqa: NPY002 (other libraries draw from it)
    name, keys, *rest = state
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(keys.astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "cuda": [torch.cuda.get_rng_state()] if torch.cuda.is_available() else [],
    }


def load_generators(state: dict[str, Any]) -> None:
    """Restore what `save_generators` returned."""
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"].cpu())
    if torch.cuda.is_available() and state["cuda"]:
        torch.cuda.set_rng_state(state["cuda"][0].cpu())


def checksum(module: nn.Module) -> str:
    """SHA-256 of all parameters and buffers; equal on all processes of a healthy run."""
    digest = hashlib.sha256()
    for value in module.state_dict().values():
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def save_run_state(env: EnvBase, frames: int, checksum: str, **more: Any) -> dict[str, Any]:
    """The frame counter, and of every process: generators, environments, checksum and `more`."""
    mine = {
        "generators": save_generators(),
        "env": env.get_state() if hasattr(env, "get_state") else {},
        "checksum": checksum,
        **more,
    }
    ranks = [mine]
    if several():
        ranks = [None] * dist.get_world_size()  # type: ignore[list-item]
        dist.all_gather_object(ranks, mine)
    return {"frames": frames, "ranks": ranks}


def load_env(state: dict[str, Any], env: EnvBase, rank: int, world_size: int) -> None:
    """Restore this process's environments; the next reset returns the restored state.

    Environments without `set_state` get a new seed, so that they do not repeat their first
    episodes.
    """
    found = len(state["ranks"])
    require(
        found == world_size,
        f"the checkpoint is of {found} processes, this run has {world_size}; use the same number",
    )
    saved = state["ranks"][rank]["env"]
    if saved:
        env.set_state(saved)
        return
    generator = torch.Generator()
    generator.set_state(state["ranks"][rank]["generators"]["torch"].cpu())
    env.set_seed(int(torch.randint(2**30, (), generator=generator)))
