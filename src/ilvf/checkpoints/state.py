"""State for a bit-exact continuation that Lightning does not save.

Random generators, environments and the frame counter, per process. The generators of a GPU cannot
continue on a CPU, nor the reverse: a run that resumes on another kind of device starts new random
numbers, from its seed and its frame count.
"""

import random
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torchrl.envs import EnvBase

from ilvf.checkpoints.restoring import restoring
from ilvf.distributed import several
from ilvf.errors import require
from ilvf.options import shown

CPU = torch.device("cpu")


def save_generators(device: torch.device = CPU) -> dict[str, Any]:
    """The states of Python's, numpy's and torch's generators, in types that load safely.

    Args:
        device: of the run; its generator is saved besides the CPU's.
    """
    state: Any = np.random.get_state(legacy=True)  # noqa: NPY002 (other libraries draw from it)
    name, keys, *rest = state
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(keys.astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "cuda": [torch.cuda.get_rng_state(device)] if device.type == "cuda" else [],
    }


def save_run_state(
    env: EnvBase, frames: int, checksum: str, *, saves: bool = True, **more: Any
) -> dict[str, Any]:
    """The frame counter, and of every process: generators, environments, checksum and `more`.

    Args:
        env: of this process.
        frames: environment frames so far.
        checksum: of the parameters.
        saves: can the environment be set to a state that it gives?
        more: of the process. Environments in workers are saved there, as its `workers`.
    """
    here = saves and "workers" not in more
    device = device_of(env)
    mine = on_cpu(
        {
            "device": device.type,
            "generators": save_generators(device),
            "env": env.get_state() if here else {},
            "checksum": checksum,
            **more,
        }
    )
    ranks = [mine]
    if several():
        ranks = [None] * dist.get_world_size()  # type: ignore[list-item]
        dist.all_gather_object(ranks, mine)
    return {"frames": frames, "ranks": ranks}


def on_cpu(state: Any) -> Any:
    """`state` with all tensors on the CPU.

    Unpickling a tensor of another process's GPU would use memory of that GPU in this process.
    """
    if isinstance(state, Tensor):
        return state.detach().cpu()
    if isinstance(state, dict):
        return {key: on_cpu(value) for key, value in state.items()}
    if type(state) in (list, tuple):
        return type(state)(on_cpu(value) for value in state)
    return state


# ---------------------------------------------------------------------- resuming
def load_env(
    state: dict[str, Any], env: EnvBase, rank: int, world_size: int, *, seed: int = 0
) -> None:
    """Restore this process's environments; the next reset returns the restored state.

    Environments without `set_state` get a new seed, so that they do not repeat their first
    episodes. On another kind of device the random numbers start anew, with one warning.

    Args:
        state: what `save_run_state` returned.
        env: environments of this process.
        rank, world_size: of this process, and the number of processes.
        seed: of this process, for new random numbers.

    Raises:
        UsageError: the state is of another number of processes, or of other environments.
    """
    saved = state_of_process(state, rank, world_size)
    goes_on = warn_of_new_generators(saved, env, rank)
    new_seed = restart_seed(seed, state["frames"])
    world = dict(saved["env"])
    if world:
        if "rng" in world and not goes_on:
            place = getattr(getattr(env, "rng", None), "device", device_of(env))
            world["rng"] = torch.Generator(place).manual_seed(new_seed).get_state()
        with restoring("environments"):
            require_same_world(world, env)
            env.set_state(world)
        return
    if goes_on:
        generator = torch.Generator()
        generator.set_state(saved["generators"]["torch"].cpu())
        new_seed = int(torch.randint(2**30, (), generator=generator))
    env.set_seed(new_seed)


def state_of_process(state: dict[str, Any], rank: int, world_size: int) -> dict[str, Any]:
    """This process's part of a state.

    Raises:
        UsageError: the state is of another number of processes.
    """
    found = len(state["ranks"])
    require(
        found == world_size,
        f"the checkpoint is of {found} processes, this run has {world_size}; use the same number",
    )
    return state["ranks"][rank]


def warn_of_new_generators(saved: dict[str, Any], env: EnvBase, rank: int) -> bool:
    """Can the saved generators go on? If they cannot, the first process warns of new ones."""
    with restoring("random generators"):
        goes_on = generators_fit(saved, env)
    if not goes_on and rank == 0:
        warnings.warn(
            f"the checkpoint's random generators do not fit this run on {device_of(env).type}: "
            "random numbers start anew from the seed and the frame count, and the continuation "
            "is not bit-exact",
            stacklevel=3,
        )
    return goes_on


def worlds_go_on(saved: Mapping[str, Any]) -> bool:
    """Do the environments of a saved process, here or in workers, go on where they were?"""
    parts = saved.get("workers", [saved])
    return all(bool(part["env"]) for part in parts)


def require_same_world(world: Mapping[str, Any], env: Any) -> None:
    """Raise unless a saved world has the tensors of the environment's own, in type and shape."""
    env.reset()
    for name, example in env.get_state().items():
        require(name in world, f"{name} is missing")
        if isinstance(example, Tensor) and name != "rng":  # `set_state` compares generators
            require(isinstance(world[name], Tensor), f"{name} is {shown(world[name])}")
            found = (world[name].dtype, tuple(world[name].shape))
            need = (example.dtype, tuple(example.shape))
            require(found == need, f"{name} is {found}, not {need}")


def load_generators(state: dict[str, Any], env: EnvBase, rank: int, *, seed: int = 0) -> None:
    """Restore this process's random generators, or start new random numbers if they do not fit.

    Arguments: see `load_env`.
    """
    saved = state["ranks"][rank]
    generators = saved["generators"]
    with restoring("random generators"):
        random.setstate(generators["python"])
        np.random.set_state(numpy_state(generators["numpy"]))  # noqa: NPY002
        if not generators_fit(saved, env):
            torch.manual_seed(restart_seed(seed, state["frames"]))
            return
        torch.set_rng_state(generators["torch"].cpu())
        device = device_of(env)
        if device.type == "cuda":
            torch.cuda.set_rng_state(generators["cuda"][0].cpu(), device)


def numpy_state(saved: Any) -> Any:
    """The state of numpy's generator, from the types that load safely."""
    name, keys, *rest = saved
    return (name, keys.numpy().astype(np.uint32), *rest)


def require_generators(path: object, ranks: Sequence[Mapping[str, Any]]) -> None:
    """Raise unless all saved generators can be restored; leaves those of this process alone.

    A generator of torch of another size is of another kind of device, and is not used.
    """
    parts = [(f"process {number}", rank) for number, rank in enumerate(ranks)]
    for where, rank in list(parts):
        for number, worker in enumerate(rank.get("workers", ())):
            parts.append((f"worker {number} of {where}", worker))
    for where, part in parts:
        saved = part["generators"]
        with restoring(f"random generators of {where}", path):
            random.Random().setstate(saved["python"])
            np.random.RandomState().set_state(numpy_state(saved["numpy"]))
            generator = torch.Generator()
            if saved["torch"].numel() == generator.get_state().numel():
                generator.set_state(saved["torch"])
            for state in saved["cuda"]:
                require(state.dtype == torch.uint8, f"a GPU's generator is {state.dtype}")


def generators_fit(saved: dict[str, Any], env: EnvBase) -> bool:
    """Whether the saved generators of a process can continue on the device of `env`."""
    device = device_of(env)
    generators = saved["generators"]
    pairs = [(generators["torch"], torch.get_rng_state())]
    if device.type == "cuda":
        if not generators["cuda"]:
            return False
        pairs.append((generators["cuda"][0], torch.cuda.get_rng_state(device)))
    if "rng" in saved["env"] and isinstance(getattr(env, "rng", None), torch.Generator):
        pairs.append((saved["env"]["rng"], env.rng.get_state()))
    same_device = saved.get("device", device.type) == device.type  # old checkpoints have no device
    savable = device.type in ("cpu", "cuda")
    return same_device and savable and all(a.numel() == b.numel() for a, b in pairs)


def restart_seed(seed: int, frames: int) -> int:
    """Seed of the random numbers of a run that restarts them after `frames` frames."""
    return random.Random(f"{seed} {frames}").randrange(2**31)


def device_of(env: EnvBase) -> torch.device:
    """The device of an environment; the CPU if it names none."""
    return CPU if env.device is None else env.device
