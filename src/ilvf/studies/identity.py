"""The identity of a study's folder: on a server, runs of two people's studies stay apart."""

import uuid
from pathlib import Path

from ilvf.errors import UsageError

FILE = "study.id"  # in the study's folder, which may move to another machine


def identity(folder: Path) -> str:
    """The identity of a study's folder, made at the first call.

    Raises:
        UsageError: the file cannot be read or written.
    """
    path = folder / FILE
    try:
        if not path.exists():
            path.write_text(f"{uuid.uuid4().hex}\n")
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(
            f"{path} cannot be used ({reason}); delete it, or give another out"
        ) from error
