"""The parts of an observation that are more than numbers side by side: images, sets of entities.

Imports no torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from ilvf.errors import UsageError, require
from ilvf.modules.entity_sets import EntitySet
from ilvf.modules.images import Image
from ilvf.options import shown

Part = Image | EntitySet
Parts = Part | Sequence[Part] | None
REQUIRED: dict[type[Part], set[str]] = {
    Image: {"height", "width", "channels"},
    EntitySet: {"entities", "features"},
}


def parts_of(values: Any, of: str) -> tuple[Part, ...]:
    """The parts that an argument of a network names, also as the plain values of a checkpoint.

    Args:
        values: None, one part, or several.
        of: the class of the network, for messages.

    Raises:
        UsageError: something else.
    """
    if values is None:
        return ()
    several = isinstance(values, list | tuple)
    return tuple(part_of(value, of) for value in (values if several else [values]))


def part_of(value: Any, of: str) -> Part:
    """An `Image` or an `EntitySet`, or one from plain values."""
    if isinstance(value, Part):
        return value
    given = set(value) if isinstance(value, Mapping) else set()
    for kind, required in REQUIRED.items():
        known = {field.name for field in fields(kind)}
        if required <= given <= known:
            return kind(**value)
    raise UsageError(
        f"{of}: parts must be an Image or an EntitySet, or several, found {shown(value)}"
    )


def require_places(parts: Sequence[Part], width: int, of: str, what: str) -> None:
    """Raise unless the parts are among `width` numbers, and have no number in common.

    Args:
        of: the class of the network.
        what: its inputs, such as `states`.
    """
    taken: set[int] = set()
    for part in parts:
        for place in part.places:
            require(
                place.stop <= width,
                f"{of}: the {part} ends at number {place.stop}, but there are {width} {what}",
            )
            common = taken.intersection(place)
            require(
                not common,
                f"{of}: the {part} has number {min(common, default=0)}, which is in another part",
            )
            taken.update(place)
