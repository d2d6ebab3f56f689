"""Typed options: a dataclass field is the one place of a default, type, bounds and meaning.

    @dataclass
    class PPOOptions(Options):
        clip: float = option(0.2, "ε of the clipped surrogate", above=0)

Constructors, the command line, `--help`, yaml files and checkpoints all read these declarations.
This module imports nothing heavy, so that `--help` is instant.
"""

import dataclasses
import difflib
import math
import os
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from ilvf.errors import UsageError, require

T = TypeVar("T", bound="Options")
WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}


def option(
    default: Any,
    meaning: str,
    *,
    above: float | None = None,
    least: float | None = None,
    below: float | None = None,
    most: float | None = None,
    confirm: str | None = None,
    harmless: Callable[[Any], bool] | None = None,
) -> Any:
    """A dataclass field with a default, one line of meaning, and bounds for numbers.

    Args:
        default: immutable, or a dict or list, which every instance copies.
        meaning: what `--help` and the documentation print.
        above, least: value > above, value >= least.
        below, most: value < below, value <= most.
        confirm: what a value can do to the user's machine ("imports code"). Such a value is taken
            from a checkpoint only if the user gives it again on the command line.
        harmless: values that need no confirmation.
    """
    bounds = {"above": above, "least": least, "below": below, "most": most}
    metadata = {"meaning": meaning, **bounds, "confirm": confirm, "harmless": harmless}
    if isinstance(default, dict | list):
        kind = type(default)
        return dataclasses.field(default_factory=lambda: kind(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass
class Options:
    """Base of all option dataclasses: fields are checked when an instance is made.

    Raises:
        UsageError: a value of another type or out of bounds; names the field and what is allowed.
    """

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            setattr(self, field.name, checked(field.name, value, hints[field.name], field.metadata))
        self.check()

    def check(self) -> None:
        """Conditions on several fields; subclasses extend it."""


def configure(cls: type[T], values: Mapping[str, Any], of: str = "") -> T:
    """`cls(**values)`, with a sentence for an unknown name.

    Args:
        of: what has these options, for the message.
    """
    known = [field.name for field in dataclasses.fields(cls)]
    for name in values:
        require(
            name in known,
            f"{of or cls.__name__} has no option {name!r}; "
            f"the options are {', '.join(known)}{nearest(name, known)}",
        )
    return cls(**values)


def select(values: Options, cls: type[Options]) -> dict[str, Any]:
    """The fields that `values` shares with the dataclass `cls`, as keyword arguments."""
    names = [field.name for field in dataclasses.fields(cls)]
    return {name: getattr(values, name) for name in names if hasattr(values, name)}


# ---------------------------------------------------------------------- types and bounds
def checked(name: str, value: Any, kind: Any, bounds: Mapping[str, Any]) -> Any:
    """`value`, if it is of the type `kind` and within bounds; whole numbers pass as numbers."""
    kinds = alternatives(kind)
    if value is None and type(None) in kinds:
        return None
    plain = [k for k in kinds if k is not type(None)]
    if Any in plain:
        return value
    choices = words_of(plain)
    if choices:
        require(
            value in choices,
            f"{name}={shown(value)} is not known; choose one of {', '.join(choices)}"
            f"{nearest(str(value), choices)}",
        )
        return value
    if isinstance(value, int):
        require(abs(value) < 2**63, f"{name} has {len(str(abs(value)))} digits, which is too many")
    if float in plain and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if str in plain and isinstance(value, os.PathLike):
        value = os.fspath(value)
    fits = any(type(value) is (typing.get_origin(k) or k) for k in plain)
    require(fits, f"{name}={shown(value)} must be {describe(kind)}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        require_bounds(name, value, bounds)
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


# ---------------------------------------------------------------------- text
def parse(name: str, text: str, kind: Any) -> Any:
    """The value that `text` of a command line means for an option of the type `kind`.

    Words and paths are taken as typed. `null` and empty text are None where the type allows it.
    """
    kinds = alternatives(kind)
    plain = [k for k in kinds if k is not type(None)]
    if type(None) in kinds and text in ("", "null", "none", "None"):
        return None
    structured = any(k is Any or (typing.get_origin(k) or k) in (dict, list) for k in plain)
    if structured:
        return parse_yaml(name, text)
    for k in plain:
        value = parse_plain(text, k)
        if value is not None:
            return value
    raise UsageError(f"{name}={text if text else 'null'!s} must be {describe(kind)}")


def parse_plain(text: str, kind: Any) -> Any:
    """`text` as a bool, int, float or word; None if it is none of that kind."""
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower())
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            return None
    return text


def parse_yaml(name: str, text: str) -> Any:
    """A list, a mapping or a scalar in yaml notation."""
    import yaml
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        parsed = OmegaConf.from_dotlist([f"v={text}"])
        content: Any = OmegaConf.to_container(parsed, resolve=False)
        return content["v"]
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise UsageError(f"'{name}={text}' has a value that cannot be read; quote it") from error


def shown(value: Any) -> str:
    """A value as the command line would have it."""
    return "null" if value is None else repr(value)


def nearest(name: str, known: Sequence[str]) -> str:
    """ ", did you mean 'NAME'?", or nothing if no known name is close."""
    tails = [k for k in known if k.rpartition(".")[2] == name]
    close = tails or difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f", did you mean {close[0]!r}?" if close else ""
