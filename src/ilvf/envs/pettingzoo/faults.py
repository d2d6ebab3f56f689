"""What goes wrong in an environment, as one sentence: exceptions that it raises, rules it breaks.

Imports no torch.
"""

import traceback
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypeVar

import numpy as np

from ilvf.errors import UsageError

T = TypeVar("T")
LONGEST_TEXT = 200  # characters of a foreign message or value
PASSED = (KeyboardInterrupt, GeneratorExit, UsageError)  # exceptions that are not the environment's


class ProtocolError(Exception):
    """An environment returned something that breaks PettingZoo's rules or its own spaces.

    The message is a sentence without the name of the environment and the step.
    """


def call(where: str, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """The result of `function(*args, **kwargs)`, a part of an environment.

    Args:
        where: environment, copy and step; the error message begins with it.
        function: what is called.

    Raises:
        UsageError: the function raised a `ProtocolError`, or anything else, `SystemExit` included.
            The traceback of the latter is printed. Ctrl-C and `UsageError` pass unchanged.
    """
    try:
        return function(*args, **kwargs)
    except BaseException as error:  # environments raise anything
        raise_in_words(where, error)


def raise_in_words(where: str, error: BaseException) -> NoReturn:
    """Raise what an environment raised as a `UsageError`, see `call`."""
    if isinstance(error, PASSED):
        raise error
    if isinstance(error, ProtocolError):
        raise UsageError(f"{where}: {error}") from error
    traceback.print_exception(error)
    raise UsageError(f"{where}: the environment raised {in_words(error)}") from error


# ---------------------------------------------------------------------- words
def in_words(error: BaseException) -> str:
    """Type and first line of an exception: "RuntimeError: no licence"."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # its __str__ fails
        lines = []
    text = f": {lines[0]:.{LONGEST_TEXT}}" if lines else ""
    return f"{type(error).__name__}{text}"


def label(env: Any) -> str:
    """The name of an environment: its own, or that of its class."""
    try:
        text = str(env)
    except Exception:  # for example `metadata` is no dict
        text = ""
    lines = text.splitlines()
    return f"{lines[0]:.80}" if lines else type(env).__name__


def described(value: Any) -> str:
    """A value in a few words: its type, and its size or the value itself."""
    kind = type(value).__name__
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    if isinstance(value, dict):
        keys = f" with the keys {name_list(value)}" if value else ", which is empty"
        return f"a {kind}{keys:.{LONGEST_TEXT}}"
    if isinstance(value, list | tuple):
        return f"a {kind} of {len(value)} entries"
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | np.generic):
        return f"{value!r:.80}"
    return f"an object of type {kind}"


def name_list(names: Iterable[Any]) -> str:
    """Sorted names with commas."""
    return ", ".join(sorted(map(str, names))) or "nobody"
