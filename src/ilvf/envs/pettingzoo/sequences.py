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
    if space.is_np_flattenable:
        return space
    if isinstance(space, spaces.Tuple):
        return spaces.Tuple([padded(part, most) for part in space.spaces])
    if isinstance(space, spaces.Dict):
        parts = {name: padded(part, most) for name, part in space.spaces.items()}
        return spaces.Dict(parts, sort_keys=False)
    vector = getattr(space, "feature_space", None)  # of a Sequence
    if isinstance(vector, spaces.Box) and len(vector.shape) == 1:
        return PaddedSequence(vector.shape[0], most)
    return space
