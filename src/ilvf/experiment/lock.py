"""One process trains in a run's folder, or runs a study or a sweep, at a time."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from ilvf.errors import UsageError

LOCK = "run.lock"  # in the run's folder; also marks the folder as a run's
HOLDER = "run.pid"


class RunLock:
    """A lock on a run's folder that the system releases when the process ends.

    Args:
        folder: of the run.

    Raises:
        UsageError: another process trains in this folder; names it.
    """

    def __init__(self, folder: Path):
        self.lock = FileLock(folder / LOCK)
        try:
            self.lock.acquire(timeout=0)
            (folder / HOLDER).write_text(str(os.getpid()))
        except Timeout:
            raise UsageError(
                f"the run {folder} is being trained by process {holder_of(folder)}; "
                "wait for its end, or stop it"
            ) from None
        except OSError as error:
            raise UsageError(
                f"the run {folder} cannot be locked: {error.filename or LOCK} cannot be written "
                f"({error.strerror})"
            ) from error

    def release(self) -> None:
        """Let another process train in this folder."""
        self.lock.release()


@contextlib.contextmanager
def alone(path: Path, what: str) -> Iterator[None]:
    """Hold a lock, which the system releases when the process ends.

    Args:
        path: the lock's file.
        what: what is locked, for the sentence.

    Raises:
        UsageError: another process holds it.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UsageError(
            f"another process runs {what} in {path.parent}; wait for its end, or stop it"
        ) from None
    try:
        yield
    finally:
        lock.release()


def holder_of(folder: Path) -> str:
    """The process that holds the lock, as far as it is known."""
    try:
        return (folder / HOLDER).read_text().strip() or "unknown"
    except OSError:
        return "unknown"
