"""What is inside a simulator: its tensors, by the path of attributes that leads to them."""

import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

Path = tuple[str | int, ...]  # attributes by name; entries of lists and dicts by position
Contents = dict[str, tuple[Path, Any]]  # name of a path → the path, what it leads to

LEAVES = (Tensor, bool, int, float, str, type(None))
CLOSED = (  # nothing of the simulation is in these
    type,
    types.FunctionType,
    types.MethodType,
    types.ModuleType,
    torch.device,
    torch.dtype,
    np.ndarray,
)
SCRATCH = ("forces_dict", "torques_dict", "entity_index_map")  # VMAS makes them anew in each step


def contents(root: Any) -> Contents:
    """All tensors, plain values and repeated references below `root`, in a fixed order.

    An object that is reached by several paths is opened at the first one; at the others its value
    is the name of the first.
    """
    found: Contents = {}
    seen: dict[int, str] = {}
    for path, value in _walk(root, (), seen):
        found[name_of(path)] = (path, value)
    return found


def _walk(value: Any, path: Path, seen: dict[int, str]) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, LEAVES):
        yield path, value
    elif id(value) in seen:
        yield path, seen[id(value)]
    elif not isinstance(value, CLOSED):
        seen[id(value)] = name_of(path)
        for key, child in _children(value):
            yield from _walk(child, (*path, key), seen)


def _children(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        yield from enumerate(value.values())
    elif isinstance(value, list | tuple):
        yield from enumerate(value)
    else:
        for name, child in getattr(value, "__dict__", {}).items():
            if name not in SCRATCH:
                yield name, child


def name_of(path: Path) -> str:
    """`world.agents.2` for ("world", "agents", 2)."""
    return ".".join(map(str, path))


# ---------------------------------------------------------------------- one path
def read(root: Any, path: Path) -> Any:
    """What a path leads to."""
    for key in path:
        root = _child(root, key)
    return root


def write(root: Any, path: Path, value: Any) -> None:
    """Replace what a path leads to."""
    holder = read(root, path[:-1])
    key = path[-1]
    if isinstance(key, str):
        holder.__dict__[key] = value
    elif isinstance(holder, dict):
        holder[list(holder)[key]] = value
    else:
        holder[key] = value


def _child(value: Any, key: str | int) -> Any:
    if isinstance(key, str):
        return value.__dict__[key]
    return list(value.values())[key] if isinstance(value, dict) else value[key]
