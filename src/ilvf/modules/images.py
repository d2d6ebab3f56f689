"""`Image`: where an observation has an image, and the convolutions that read it.

Imports no torch.
"""

from dataclasses import dataclass

from ilvf.errors import require
from ilvf.options import shown
from ilvf.options.arguments import require_flags, require_number, require_sizes

MOST_CONVOLUTIONS = 8
BRIGHTEST = 255.0  # of uint8


@dataclass(frozen=True)
class Image:
    """An image among the numbers of an observation, the same for all agents of a team.

    Attributes:
        height, width, channels: H, W, C.
        begin: place of its first number in the observation.
        channels_first: its numbers are in the order C, H, W instead of H, W, C.
        largest: what the image is divided by; 255 of `uint8`.
        filters: of the first convolution; each later one has twice as many.
        convolutions: 3 × 3 with stride 2, each of which halves height and width.

    Raises:
        UsageError: a size that is not positive, or too many convolutions.
    """

    height: int
    width: int
    channels: int
    begin: int = 0
    channels_first: bool = False
    largest: float = 1.0
    filters: int = 16
    convolutions: int = 2

    def __post_init__(self) -> None:
        require_sizes("Image", height=self.height, width=self.width, channels=self.channels)
        require_sizes("Image", filters=self.filters, convolutions=self.convolutions)
        require(
            type(self.begin) is int and self.begin >= 0,
            f"Image: begin={shown(self.begin)} must be a whole number, at least 0",
        )
        require_flags("Image", channels_first=self.channels_first)
        require_number("Image", "largest", self.largest, above=0)
        require(
            self.convolutions <= MOST_CONVOLUTIONS,
            f"Image: convolutions={self.convolutions} must be at most {MOST_CONVOLUTIONS}",
        )

    def __str__(self) -> str:
        return f"image {self.height}×{self.width}×{self.channels}"

    @property
    def shape(self) -> tuple[int, int, int]:
        """In the order of the numbers."""
        if self.channels_first:
            return self.channels, self.height, self.width
        return self.height, self.width, self.channels

    @property
    def size(self) -> int:
        """H·W·C."""
        return self.height * self.width * self.channels

    @property
    def places(self) -> list[range]:
        """Where its numbers are."""
        return [range(self.begin, self.begin + self.size)]

    @property
    def depths(self) -> list[int]:
        """Channels before the first convolution and after each."""
        return [self.channels, *(self.filters * 2**k for k in range(self.convolutions))]

    @property
    def features(self) -> int:
        """Numbers after the last convolution."""
        half = 2**self.convolutions
        return self.depths[-1] * -(-self.height // half) * -(-self.width // half)


def image_of_shape(shape: tuple[int, ...], begin: int, *, is_bytes: bool) -> Image | None:
    """The image that an array of this shape is: with three axes, or of `uint8` with two.

    Of three axes the first are the channels if it is shorter than the others, otherwise the last.

    Args:
        shape: of the array.
        begin: place of its first number in the observation.
        is_bytes: its numbers are `uint8`.
    """
    if len(shape) == 2 and is_bytes:
        shape = (*shape, 1)
    if len(shape) != 3 or not all(shape):
        return None
    first = shape[0] < min(shape[1:])
    channels, height, width = shape if first else (shape[2], *shape[:2])
    return Image(
        height=height,
        width=width,
        channels=channels,
        begin=begin,
        channels_first=first,
        largest=BRIGHTEST if is_bytes else 1.0,
    )
