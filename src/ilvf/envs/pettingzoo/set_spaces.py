"""Where the numbers of an observation are those of sets of entities.

Imports no torch.
"""

from collections.abc import Iterator

from gymnasium import spaces
from gymnasium.spaces.utils import flatdim

from ilvf.modules.entity_sets import EntitySet, Entry, Found, found_or_error, sets_among


def sets_of(space: spaces.Space) -> Found:
    """The sets among the numbers of a flat observation; see `sets_among`."""
    return found_or_error(lambda: _sets(space, 0))


def _sets(space: spaces.Space, begin: int) -> list[EntitySet]:
    """The sets of a space whose first number is at `begin`."""
    found = []
    entries: dict[str, Entry] = {}
    for name, part in parts_of(space):
        found += _sets(part, begin)
        entries[name] = (shape_of(part), begin)
        begin += flatdim(part)
    return found + sets_among(entries)


def parts_of(space: spaces.Space) -> Iterator[tuple[str, spaces.Space]]:
    """(Name, space) of the parts of a Dict or a Tuple; those of a Tuple have numbers as names."""
    if isinstance(space, spaces.Dict):
        for key, part in space.spaces.items():
            yield str(key), part
    elif isinstance(space, spaces.Tuple):
        for number, part in enumerate(space.spaces):
            yield str(number), part


def shape_of(space: spaces.Space) -> tuple[int, ...] | None:
    """Of arrays whose numbers stay as they are in a flat observation; None for other spaces."""
    if isinstance(space, spaces.Box):
        return space.shape
    return space.shape if isinstance(space, spaces.MultiBinary) else None
