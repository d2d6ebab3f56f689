"""Single values that an environment returns, as checked numbers, flags and flat vectors.

Nothing is broadcast, cut or guessed: a value with another shape, or without numbers, is refused.
Numbers of any dtype are accepted. Imports no torch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.spaces.utils import flatten

from ilvf.envs.pettingzoo.faults import ProtocolError, described, name_list
from ilvf.envs.pettingzoo.sequences import PaddedSequence

NUMBERS = "biuf"  # kinds of dtypes: bool, signed and unsigned integers, floats


def numbers(value: Any, kind: str, name: str) -> np.ndarray:
    """`value` as an array of numbers with any dtype.

    Args:
        value: an array, a number, or a list of numbers.
        kind: what it is, "reward"; for messages.
        name: whose it is, "agent_0"; for messages.

    Raises:
        ProtocolError: there are no numbers in it.
    """
    if type(value) is np.ndarray:
        array = value
    else:
        try:
            array = np.asarray(value)
        except Exception as error:  # lists of unequal lengths, tensors on a GPU, ...
            raise ProtocolError(_no_numbers(value, kind, name)) from error
    if array.dtype.kind not in NUMBERS:
        raise ProtocolError(_no_numbers(value, kind, name))
    return array


def _no_numbers(value: Any, kind: str, name: str) -> str:
    return f"the {kind} of {name} is {described(value)}, need numbers of a plain dtype"


def number(value: Any, kind: str, name: str) -> float:
    """A single number: a scalar, or an array or list with one entry."""
    if isinstance(value, float):
        return value
    array = numbers(value, kind, name)
    if array.size != 1:
        raise ProtocolError(f"the {kind} of {name} has the shape {array.shape}, need one number")
    return array.item()


def flag(value: Any, kind: str, name: str) -> bool:
    """A truth value: a bool, or 0 or 1."""
    if value is True or value is False:
        return value
    if type(value) is np.bool_:
        return bool(value)
    array = numbers(value, kind, name)
    if array.size != 1 or array.item() not in (0, 1):
        raise ProtocolError(f"the {kind} of {name} is {described(value)}, need True or False")
    return bool(array.item())


def shaped(value: Any, shape: tuple[int, ...], kind: str, name: str) -> np.ndarray:
    """Numbers of a shape, flattened; a single number may have any shape with one entry."""
    array = numbers(value, kind, name)
    if array.shape != shape and not (array.size == 1 and np.prod(shape) == 1):
        raise ProtocolError(f"the {kind} of {name} has the shape {array.shape}, need {shape}")
    return array.ravel()


def action_mask(value: Any, counts: Sequence[int], name: str) -> np.ndarray:
    """Which choices are possible, bool, those of all components side by side.

    Args:
        value: numbers of all choices, or a list or tuple with those of each component.
        counts: choices of each component.
        name: of the agent, for messages.
    """
    if isinstance(value, list | tuple) and len(value) == len(counts) > 1:
        parts = []
        for d, (part, count) in enumerate(zip(value, counts, strict=True)):
            parts.append(shaped(part, (count,), f"action_mask[{d}]", name))
        value = np.concatenate(parts)
    mask = shaped(value, (sum(counts),), "action_mask", name)
    if mask.dtype.kind == "b":
        return mask
    possible = mask != 0
    if (mask != possible).any():
        raise ProtocolError(
            f"the action_mask of {name} has other entries than 0 and 1; 1 is a possible action"
        )
    return possible


# ---------------------------------------------------------------------- values of a space
def flat(space: spaces.Space, value: Any, kind: str, name: str) -> np.ndarray:
    """`value` as a vector with `flatdim(space)` numbers, in the order of Gymnasium's `flatten`.

    Discrete values become one-hot. Bounds of a Box are not checked. A sequence is padded with
    zeros; then comes a flag for each of its places, 1 for those that it fills.

    Raises:
        ProtocolError: the value does not have the parts, shapes or categories of the space.
    """
    if isinstance(space, spaces.Box):
        return shaped(value, space.shape, kind, name)
    if isinstance(space, PaddedSequence):
        return _flat_sequence(space, value, kind, name)
    if isinstance(space, spaces.Dict):
        return _flat_dict(space, value, kind, name)
    if isinstance(space, spaces.Tuple):
        return _flat_tuple(space, value, kind, name)
    if isinstance(space, spaces.Discrete):
        return _one_hot(space, value, kind, name)
    if isinstance(space, spaces.MultiDiscrete | spaces.MultiBinary):
        value = shaped(value, space.shape, kind, name).reshape(space.shape)
        if np.array_equal(value, value.astype(space.dtype)):
            value = value.astype(space.dtype)
    if not space.contains(value):
        raise ProtocolError(
            f"the {kind} of {name} is {described(value)}, which is not in {space!s:.100}"
        )
    return np.asarray(flatten(space, value))


def _one_hot(space: spaces.Discrete, value: Any, kind: str, name: str) -> np.ndarray:
    category = float(number(value, kind, name))
    index = category - float(space.start)
    if not index.is_integer() or not 0 <= index < space.n:
        raise ProtocolError(f"the {kind} of {name} is {category:g}, which is not in {space}")
    row = np.zeros(int(space.n), np.float32)
    row[int(index)] = 1
    return row


def _flat_sequence(space: PaddedSequence, value: Any, kind: str, name: str) -> np.ndarray:
    is_array = isinstance(value, np.ndarray) and value.ndim > 0
    if not isinstance(value, list | tuple) and not is_array:
        raise ProtocolError(
            f"the {kind} of {name} is {described(value)}, need a sequence of vectors"
        )
    most, features = space.table_shape
    if len(value) > most:
        raise ProtocolError(
            f"the {kind} of {name} has {len(value)} entities, and {most} are read at most; say "
            f"entities={len(value)} or more"
        )
    table = np.zeros((most, features), np.float32)
    for k, vector in enumerate(value):
        table[k] = shaped(vector, (features,), f"{kind}[{k}]", name)
    return np.concatenate([table.ravel(), np.arange(most) < len(value)])


def _flat_dict(space: spaces.Dict, value: Any, kind: str, name: str) -> np.ndarray:
    if not isinstance(value, Mapping) or value.keys() != space.spaces.keys():
        keys = name_list(space.spaces)
        raise ProtocolError(
            f"the {kind} of {name} is {described(value)}, need a dict with the keys {keys}"
        )
    parts = [flat(part, value[key], f"{kind}[{key!r}]", name) for key, part in space.items()]
    return np.concatenate(parts)


def _flat_tuple(space: spaces.Tuple, value: Any, kind: str, name: str) -> np.ndarray:
    size = len(space.spaces)
    if not isinstance(value, list | tuple) or len(value) != size:
        raise ProtocolError(
            f"the {kind} of {name} is {described(value)}, need a tuple of {size} entries"
        )
    entries = enumerate(zip(space.spaces, value, strict=True))
    parts = [flat(part, entry, f"{kind}[{k}]", name) for k, (part, entry) in entries]
    return np.concatenate(parts)
