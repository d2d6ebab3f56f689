"""Where the numbers of an observation are those of an image.

Imports no torch.
"""

import numpy as np
from gymnasium import spaces
from gymnasium.spaces.utils import flatdim

from ilvf.modules.images import Image, image_of_shape


def image_in(space: spaces.Space) -> Image | None:
    """The image among the numbers of a flat observation, if there is exactly one.

    See `image_of_shape` for what an image is.
    """
    found = _images(space, 0)
    return found[0] if len(found) == 1 else None


def _images(space: spaces.Space, begin: int) -> list[Image]:
    """The images of a space whose first number is at `begin`."""
    if isinstance(space, spaces.Box):
        image = image_of_shape(space.shape, begin, is_bytes=space.dtype == np.uint8)
        return [] if image is None else [image]
    if not isinstance(space, spaces.Dict | spaces.Tuple):
        return []
    parts = space.spaces.values() if isinstance(space, spaces.Dict) else space.spaces
    images = []
    for part in parts:
        images += _images(part, begin)
        begin += flatdim(part)
    return images
