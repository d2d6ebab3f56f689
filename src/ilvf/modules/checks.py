"""Entries and tensors that are read: what is wrong with them, in one sentence.

Nothing here reads numbers of a device.
"""

from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor

from ilvf.errors import UsageError, require
from ilvf.options.arguments import found_words

MOST_LISTED = 20  # keys of a tensordict in a message


def need(tensordict: TensorDictBase, key: NestedKey, hint: str = "") -> Tensor:
    """The entry at `key`.

    Raises:
        UsageError: there is none; lists the entries that exist, and `hint`.
    """
    require_tensordict(tensordict)
    value = tensordict.get(key, None)
    if value is None:
        names = sorted(map(str, tensordict.keys(True, True)))
        more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
        found = ", ".join(names[:MOST_LISTED]) or "no entries"
        advice = f". {hint}" if hint else ""
        raise UsageError(f"the key {key} is needed; the tensordict has {found}{more}{advice}")
    return value


def require_tensordict(value: Any) -> None:
    """Raise unless `value` is a TensorDict."""
    if not isinstance(value, TensorDictBase):
        raise UsageError(f"a TensorDict is needed, found {found_words(value)}")


def require_tensor(name: str, value: Any) -> None:
    """Raise unless `value` is a tensor.

    Args:
        name: for the message, such as "the state".
    """
    if not isinstance(value, Tensor):
        raise UsageError(f"{name} must be a tensor, found {found_words(value)}")


def require_floats(name: str, value: Any) -> None:
    """Raise unless `value` is a tensor of floating-point numbers."""
    require_tensor(name, value)
    require(
        value.is_floating_point(),
        f"{name} must have floating-point numbers, found {value.dtype}; convert it by .float()",
    )


def require_dtype(
    x: Tensor, like: Tensor, name: str = "the input of a network", other: str = "its parameters"
) -> None:
    """Raise if a product of two tensors has factors of different types, outside of autocast.

    Args:
        name, other: the tensors, for the message.
    """
    require_tensor(name, x)
    if x.dtype == like.dtype or torch.is_autocast_enabled(x.device.type):
        return
    raise UsageError(
        f"{name} has {x.dtype}, {other} {like.dtype}; convert one of them, such as by "
        f".to({like.dtype})"
    )


def require_truth(name: str, value: Tensor) -> None:
    """Raise unless `value` is a tensor of True and False."""
    require_tensor(name, value)
    require(value.dtype == torch.bool, f"{name} has {value.dtype}; need bool, such as by .bool()")


def require_mask(mask: Any, wanted: tuple[int, ...]) -> None:
    """Raise unless `mask` says of each action whether it is possible, bool `[*B, N, A]`."""
    require_tensor("the action mask", mask)
    found = tuple(mask.shape)
    require(
        mask.dtype == torch.bool and found == wanted,
        f"the action mask has shape {found} and dtype {mask.dtype}; "
        f"need bool {wanted}, True = possible",
    )


def require_same_shape(key: NestedKey, value: Tensor, like: Tensor) -> None:
    """Raise unless the entry at `key` has the shape of `like`."""
    found = tuple(value.shape)
    wanted = tuple(like.shape)
    require(found == wanted, f"{key} has shape {found}, need {wanted}")
