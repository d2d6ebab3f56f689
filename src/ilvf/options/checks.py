"""Is a value of an option's type, and within its bounds?"""

import math
import os
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ilvf.errors import UsageError, require
from ilvf.options.words import nearest, shown

WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}


def checked(name: str, value: Any, kind: Any, limits: Mapping[str, Any]) -> Any:
    """`value`, if it is of the type `kind` and within bounds; whole numbers pass as numbers.

    Args:
        name: of the option, for the message.
        limits: the metadata of `option`.
    """
    kinds = alternatives(kind)
    if value is None and type(None) in kinds:
        return None
    plain = [k for k in kinds if k is not type(None)]
    if Any in plain:
        return value
    choices = words_of(plain)
    if choices:
        also = limits.get("also") or (lambda _: False)
        require(
            value in choices or also(value),
            f"{name}={shown(value)} is not known; choose one of {', '.join(choices)}"
            f"{nearest(str(value), choices)}",
        )
        return value
    if isinstance(value, int):
        require(abs(value) < 2**63, f"{name} is too large: whole numbers are below 2^63")
    if float in plain and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if str in plain and isinstance(value, os.PathLike):
        value = os.fspath(value)
    fits = any(type(value) is (typing.get_origin(k) or k) for k in plain)
    require(fits, f"{name}={shown(value)} must be {describe(kind)}")
    if isinstance(value, str):
        require("\0" not in value, f"{name}={shown(value)} has a NUL character; leave it out")
    if isinstance(value, str) and limits.get("path"):
        require_usable_path(name, value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        require_bounds(name, value, limits)
    return value


def alternatives(kind: Any) -> list[Any]:
    """The types that a union consists of."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return list(typing.get_args(kind))
    return [kind]


def words_of(kinds: Sequence[Any]) -> list[str]:
    """The words of a `Literal`; empty for other types."""
    literal = [k for k in kinds if typing.get_origin(k) is Literal]
    return list(typing.get_args(literal[0])) if literal else []


def describe(kind: Any) -> str:
    """A type in words: "a whole number, or null"."""
    kinds = alternatives(kind)
    plain = [typing.get_origin(k) or k for k in kinds if k is not type(None)]
    words = [WORDS.get(k, "a list or a mapping") for k in plain]
    return " or ".join(words) + (", or null" if type(None) in kinds else "")


def require_usable_path(name: str, path: str) -> None:
    """Raise unless the system can look up a path; nothing needs to be there.

    Args:
        name: of the argument, for the message.
    """
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:  # ValueError: a NUL character, or not valid UTF-8
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{name}={shown(path)} is no path that can be used ({reason})") from error


def require_bounds(name: str, value: float, bounds: Mapping[str, Any]) -> None:
    """Raise unless a number is finite and within its bounds."""
    require(math.isfinite(value), f"{name}={value} must be a finite number")
    above, least, below, most = (bounds.get(k) for k in ("above", "least", "below", "most"))
    inside = (
        (above is None or value > above)
        and (least is None or value >= least)
        and (below is None or value < below)
        and (most is None or value <= most)
    )
    if not inside:
        allowed = bounds_in_words(above, least, below, most)
        raise UsageError(f"{name}={value} must be {allowed}")


def bounds_in_words(
    above: float | None, least: float | None, below: float | None, most: float | None
) -> str:
    """ "at least 1", "positive", "in [0, 1]"."""
    low = above if above is not None else least
    high = below if below is not None else most
    if low is not None and high is not None:
        left = "(" if above is not None else "["
        right = ")" if below is not None else "]"
        return f"in {left}{low}, {high}{right}"
    if high is not None:
        return f"below {high}" if below is not None else f"at most {high}"
    assert low is not None
    if above is not None:
        return "positive" if low == 0 else f"above {low}"
    return "at least 0, not negative" if low == 0 else f"at least {low}"
