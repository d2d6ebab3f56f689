"""Checks of the arguments of public constructors and functions, each with one sentence.

`of` is the class or function whose argument it is. Option dataclasses check their fields
themselves (`ilvf.options`).
"""

import operator
from collections.abc import Mapping
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from ilvf.errors import UsageError, require
from ilvf.options.checks import require_bounds
from ilvf.options.words import shown

if TYPE_CHECKING:
    import torch


def require_sizes(of: str, **sizes: Any) -> None:
    """Raise unless every size is a whole number of at least 1."""
    for name, value in sizes.items():
        is_whole = isinstance(value, Integral) and not isinstance(value, bool)
        require(
            is_whole and value >= 1,
            f"{of}: {name}={shown(value)} must be a whole number, at least 1",
        )


def require_number(of: str, name: str, value: Any, **bounds: float) -> None:
    """Raise unless a value is a finite number within bounds.

    Args:
        **bounds: `above`, `least`, `below`, `most`, as in `ilvf.options.option`.
    """
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    require(is_number, f"{of}: {name}={shown(value)} must be a number")
    require_bounds(f"{of}: {name}", value, bounds)


def require_flags(of: str, **flags: Any) -> None:
    """Raise unless every value is True or False."""
    for name, value in flags.items():
        require(isinstance(value, bool), f"{of}: {name}={shown(value)} must be True or False")


def require_names(of: str, **names: Any) -> None:
    """Raise unless every value is a name: text that is not empty."""
    for name, value in names.items():
        is_name = isinstance(value, str) and bool(value)
        require(is_name, f"{of}: {name}={shown(value)} must be a name, such as 'agents'")


def require_device(of: str, device: Any) -> "torch.device":
    """The device of torch that `device` is or names.

    Raises:
        UsageError: it is none, or this machine does not have it.
    """
    import torch

    sentence = f"{of}: device={shown(device)} is no device; use a torch.device, 'cpu' or 'cuda'"
    require(isinstance(device, str | torch.device), sentence)
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise UsageError(sentence) from error
    require(
        place.type != "cuda" or torch.cuda.is_available(),
        f"{of}: device={shown(device)} is not on this machine; use 'cpu'",
    )
    return place


def require_batch(of: str, num_envs: Any, seed: Any, device: Any) -> None:
    """Raise unless these are the size, the seed and the device of a batch of environments."""
    require_sizes(of, num_envs=num_envs)
    require_seed(of, seed)
    require_device(of, device)


def require_seed(of: str, seed: Any) -> None:
    """Raise unless this is a seed of random numbers, or None."""
    is_whole = isinstance(seed, Integral) and not isinstance(seed, bool)
    require(
        seed is None or (is_whole and 0 <= seed < 2**63),
        f"{of}: seed={shown(seed)} must be a whole number, at least 0, or None",
    )


def keywords(of: str, kwargs: Any) -> dict[str, Any]:
    """The argument `kwargs`, names and values, as a dict; an empty one of None.

    Raises:
        UsageError: it is no mapping of names.
    """
    given = {} if kwargs is None else kwargs
    named = isinstance(given, Mapping) and all(isinstance(name, str) for name in given)
    require(named, f"{of}: kwargs={shown(kwargs)} must be a dict of arguments, or None")
    return dict(given)


def require_kind(of: str, name: str, value: Any, kind: Any, wanted: str) -> None:
    """Raise unless a value is an instance of a class.

    Args:
        kind: a class or a union of classes.
        wanted: what is needed, in words: "a CategoricalActor".
    """
    require(
        isinstance(value, kind),
        f"{of}: {name} must be {wanted}, found {found_words(value)}",
    )


def whole_number(value: Any) -> int | None:
    """A single whole number of Python, numpy or torch as an int; None of anything else."""
    single = hasattr(value, "__index__") and getattr(value, "ndim", 0) == 0
    return operator.index(value) if single else None


def found_words(value: Any) -> str:
    """What a value is, in a few words: a plain value itself, of anything else the class."""
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value) if value is None else shown(value)
    if isinstance(value, type):
        return f"the class {value.__name__}; make an instance, {value.__name__}(...)"
    return f"a {type(value).__name__}"
