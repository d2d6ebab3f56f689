"""Gymnasium's `Sequence` spaces, whose values differ in length, padded to a fixed length.

Imports no torch.
"""

import numpy as np
from gymnasium import spaces

from ilvf.modules.entity_sets import MASK

NAME = "entities"


class PaddedSequence(spaces.Dict):
    """A sequence of at most K vectors of F numbers, as the entries of a set of entities.

    Args:
        features: F.
        most: K.
    """

    def __init__(self, features: int, most: int):
        table = spaces.Box(-np.inf, np.inf, (most, features), np.float32)
        super().__init__({NAME: table, f"{NAME}{MASK}": spaces.MultiBinary(most)})

    @property
    def table_shape(self) -> tuple[int, int]:
        """(K, F)."""
        most, features = self[NAME].shape or (0, 0)
        return most, features


def padded(space: spaces.Space, most: int) -> spaces.Space:
    """The space with a `PaddedSequence` for every sequence of vectors; itself without one.

    Args:
        space: of an observation.
        most: K.
    """
    if isinstance(space, spaces.Sequence):
        vector = space.feature_space
        if isinstance(vector, spaces.Box) and len(vector.shape) == 1:
            return PaddedSequence(vector.shape[0], most)
        return space
    if not isinstance(space, spaces.Dict | spaces.Tuple):
        return space
    if isinstance(space, spaces.Tuple):
        parts = [padded(part, most) for part in space.spaces]
        changed = any(new is not old for new, old in zip(parts, space.spaces, strict=True))
        return spaces.Tuple(parts) if changed else space
    entries = {name: padded(part, most) for name, part in space.spaces.items()}
    changed = any(entries[name] is not part for name, part in space.spaces.items())
    return spaces.Dict(entries, sort_keys=False) if changed else space
