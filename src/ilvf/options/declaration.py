"""Options as dataclass fields, and dataclasses that check their fields."""

import dataclasses
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ilvf.errors import require
from ilvf.options.checks import checked
from ilvf.options.words import nearest, one_line

T = TypeVar("T", bound="Options")
TYPES: dict[type, dict[str, Any]] = {}  # dataclass → types of its fields, once they are needed


def option(
    default: Any,
    meaning: str,
    *,
    above: float | None = None,
    least: float | None = None,
    below: float | None = None,
    most: float | None = None,
    path: bool = False,
    also: Callable[[Any], bool] | None = None,
    confirm: str | None = None,
    harmless: Callable[[Any], bool] | None = None,
) -> Any:
    """A dataclass field with a default, one line of meaning, and bounds for numbers.

    Args:
        default: immutable, or a dict or list, which every instance copies.
        meaning: what `--help` and the documentation print.
        above, least: value > above, value >= least.
        below, most: value < below, value <= most.
        path: the value names a file or folder. A path that the system cannot look up is refused.
        also: values that a `Literal[...] | str` has besides its words.
        confirm: what a value can do to the user's machine ("imports code"). Such a value is taken
            from a checkpoint only if the user gives it again on the command line.
        harmless: values that need no confirmation.
    """
    bounds = {"above": above, "least": least, "below": below, "most": most, "path": path}
    metadata = {"meaning": meaning, **bounds, "confirm": confirm, "harmless": harmless}
    metadata["also"] = also
    if isinstance(default, dict | list):
        kind = type(default)
        return dataclasses.field(default_factory=lambda: kind(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def types_of(cls: type) -> dict[str, Any]:
    """Name → type of the fields of a dataclass."""
    if cls not in TYPES:
        TYPES[cls] = typing.get_type_hints(cls)
    return TYPES[cls]


@dataclasses.dataclass
class Options:
    """Base of all option dataclasses: fields are checked when an instance is made.

    Raises:
        UsageError: a value of another type or out of bounds; names the field and what is allowed.
    """

    def __post_init__(self) -> None:
        hints = types_of(type(self))
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
            f"{of or cls.__name__} has no option {one_line(repr(name))}; "
            f"the options are {', '.join(known)}{nearest(str(name), known)}",
        )
    return cls(**values)


def select(values: Options, cls: type[Options]) -> dict[str, Any]:
    """The fields that `values` shares with the dataclass `cls`, as keyword arguments."""
    names = [field.name for field in dataclasses.fields(cls)]
    return {name: getattr(values, name) for name in names if hasattr(values, name)}
