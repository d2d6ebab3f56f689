"""Errors in restoring a part of a checkpoint, as one sentence."""

import contextlib
from collections.abc import Iterator

from ilvf.errors import UsageError, is_out_of_memory
from ilvf.options import one_line

FAILURES = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


@contextlib.contextmanager
def restoring(part: str, path: object = "the checkpoint") -> Iterator[None]:
    """Name the part of a checkpoint that the block fails to restore.

    Args:
        part: "optimizer", for the message.
        path: of the checkpoint.

    Raises:
        UsageError: the block raises an error that a wrong type, shape or entry can cause.
    """
    try:
        yield
    except FAILURES as error:
        if is_out_of_memory(error):
            raise
        raise UsageError(
            f"{path}: its {part} cannot be restored ({reason_of(error)}); use an older checkpoint "
            "or begin a new run"
        ) from error


def reason_of(error: Exception) -> str:
    """What an error says, in one line."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if isinstance(error, KeyError):
        return f"it has no entry {lines[0]}"
    return one_line(" ".join(line.strip() for line in lines))
