"""The file that a command draws its picture in, checked before the work begins."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ilvf.errors import UsageError, require
from ilvf.options import shown

SUFFIXES = (".png", ".pdf", ".svg", ".jpg", ".jpeg", ".eps", ".ps", ".tif", ".tiff", ".webp")


def require_picture(key: str, path: Path) -> None:
    """Raise unless `path` has the suffix of a picture, and is no folder.

    Args:
        key: of the option, for the message.
    """
    require(
        path.suffix.lower() in SUFFIXES and not path.is_dir(),
        f"{key}={shown(str(path))} must be a file that ends in .png, .pdf or .svg",
    )


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name the picture that the block cannot write."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"the picture {path} cannot be written ({error.strerror})") from error
