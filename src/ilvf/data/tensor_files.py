"""Reading files of `torch.save` as data: nothing in them runs, and damage is found.

Only tensors and plain values are loaded (`weights_only=True`), after the CRC-32 of every record has
been compared with the one that was written.
"""

import zipfile
from pathlib import Path
from typing import Any

import torch

from ilvf.errors import UsageError, require


def load_tensors(path: Path, what: str, device: torch.device | str = "cpu") -> Any:
    """The content of a file that `torch.save` wrote; tensors and plain values only.

    Args:
        path: the file.
        what: "checkpoint" or "replay file", for the message.
        device: where tensors are put.

    Raises:
        UsageError: the file is missing, no such file, truncated or damaged.
    """
    try:
        require(path.is_file(), f"{what} {path} does not exist")
        require_intact(path, what)
        return torch.load(path, map_location=device, weights_only=True)
    except UsageError:
        raise
    except Exception as error:  # a damaged file can raise anything
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UsageError(
            f"{what} {path} cannot be read, it is truncated or damaged ({lines[0][:120]})"
        ) from error


def require_intact(path: Path, what: str) -> None:
    """Raise unless every record of the zip file has the CRC-32 that it was written with."""
    require(
        zipfile.is_zipfile(path),
        f"{what} {path} cannot be read, it is truncated or no file of torch.save",
    )
    with zipfile.ZipFile(path) as file:
        damaged = file.testzip()
    require(
        damaged is None,
        f"{what} {path} is damaged: its record {damaged} is not what was written; "
        "use another copy of it",
    )
