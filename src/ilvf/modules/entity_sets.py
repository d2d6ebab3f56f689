"""`EntitySet`: where an observation has a set of entities, and the attention that reads it.

Imports no torch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ilvf.errors import UsageError, require
from ilvf.options import shown
from ilvf.options.arguments import require_sizes

MASK = "_mask"  # ends the name of the flags of a set


@dataclass(frozen=True)
class EntitySet:
    """A set among the numbers of an observation, the same for all agents of a team.

    An agent sees at most K entities with F features each, as K·F numbers, entity by entity. K flags
    say which of them are there: above ½ for those that are. Their order has no meaning.

    Attributes:
        entities, features: K, F.
        begin: place of the first feature of the first entity in the observation.
        mask: place of the first flag.
        heads: of the attention.
        embedding: E, features of an entity in the attention, of all heads together.

    Raises:
        UsageError: a size that is not positive, a place that is negative, features and flags at
            the same place, or an embedding that the heads cannot share.
    """

    entities: int
    features: int
    begin: int = 0
    mask: int = 0
    heads: int = 4
    embedding: int = 32

    def __post_init__(self) -> None:
        require_sizes("EntitySet", entities=self.entities, features=self.features)
        require_sizes("EntitySet", heads=self.heads, embedding=self.embedding)
        for name in ("begin", "mask"):
            place = getattr(self, name)
            require(
                type(place) is int and place >= 0,
                f"EntitySet: {name}={shown(place)} must be a whole number, at least 0",
            )
        require(
            self.embedding % self.heads == 0,
            f"EntitySet: embedding={self.embedding} must be a multiple of heads={self.heads}",
        )

    def __str__(self) -> str:
        return f"set of {self.entities} entities with {self.features} features"

    @property
    def size(self) -> int:
        """(F + 1)·K, numbers of features and flags."""
        return (self.features + 1) * self.entities

    @property
    def places(self) -> list[range]:
        """Where its numbers are: those of the entities, and the flags."""
        return [
            range(self.begin, self.begin + self.entities * self.features),
            range(self.mask, self.mask + self.entities),
        ]


# ---------------------------------------------------------------------- found by names
Entry = tuple[tuple[int, ...] | None, int]  # shape, None if it is no array; place of its first


def sets_among(entries: Mapping[str, Entry]) -> list[EntitySet]:
    """The sets among the entries of a dict: NAME `[K, F]` with NAME_mask `[K]`.

    Raises:
        UsageError: flags without a set, or shapes that do not fit each other.
    """
    found = []
    for mask, (flags, place) in entries.items():
        if not mask.endswith(MASK):
            continue
        name = mask.removesuffix(MASK)
        require(
            name in entries,
            f"the observation has {mask!r} and no {name!r}; a set of K entities is {name!r} with "
            f"the shape (K, features) and {mask!r} with (K,)",
        )
        shape, begin = entries[name]
        require(
            shape is not None and len(shape) == 2 and flags == shape[:1] and all(shape),
            f"the observation has {name!r} with the shape {shape} and {mask!r} with {flags}; a set "
            "of K entities needs (K, features) and (K,)",
        )
        assert shape is not None
        found.append(EntitySet(entities=shape[0], features=shape[1], begin=begin, mask=place))
    return found


Found = tuple[EntitySet, ...] | UsageError


def found_or_error(find: Callable[[], list[EntitySet]]) -> Found:
    """What `find` finds, in the order of the numbers; or its error.

    An environment keeps the error, which is raised if an algorithm asks for the sets: without that
    they are numbers like all others.
    """
    try:
        return tuple(sorted(find(), key=lambda one: one.begin))
    except UsageError as error:
        return error
