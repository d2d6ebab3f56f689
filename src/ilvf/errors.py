"""The exception for mistakes that the caller can fix."""

import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

NO_MEMORY = (  # what torch says of sizes that no machine has
    "allocate memory",
    "Storage size calculation overflowed",
    "integer multiplication overflow",
)

LIBRARY = os.path.dirname(os.path.abspath(__file__)) + os.sep
USUAL_FORMAT = warnings.formatwarning


class UsageError(ValueError):
    """A wrong argument, key, file or environment.

    Its text is one sentence: what was found, where, and what to do. Commands print it without a
    traceback and exit with code 2.
    """


def require(condition: bool, sentence: str) -> None:
    """Raise `UsageError(sentence)` unless `condition` holds."""
    if not condition:
        raise UsageError(sentence)


def require_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise unless `value` is one of the words in `choices`."""
    known = ", ".join(choices)
    found = " ".join(repr(value).split())  # a tensor has several lines
    is_known = isinstance(value, str) and value in choices
    require(is_known, f"{name}={found:.80} is not known; choose one of {known}")


def plain_warnings() -> None:
    """Print this library's warnings as one sentence each, without file, line and code.

    Every warning has a line of its own, also beside a progress bar.
    """
    warnings.formatwarning = _formatted  # type: ignore[assignment]


def _formatted(message: Any, category: Any, filename: str, *place: Any) -> str:
    if not filename.startswith(LIBRARY):
        return USUAL_FORMAT(message, category, filename, *place)
    return f"{_end_of_bar()}warning: {message}\n"


def _end_of_bar() -> str:
    """What ends the line of a progress bar, if there is one."""
    if "tqdm" not in sys.modules:  # it is not needed for a warning
        return ""
    from tqdm import tqdm

    bars: Any = getattr(tqdm, "_instances", None)
    return "\n" if bars else ""


def run_recipe(main: Callable[[], object]) -> None:
    """Run `main`; what the user can fix ends in one sentence and exit code 2, Ctrl-C in 130."""
    plain_warnings()
    try:
        main()
    except UsageError as error:
        _end(str(error))
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        reason = (str(error).strip().splitlines() or ["MemoryError"])[-1]
        _end(f"there is not enough memory: {reason[-160:]}; make the sizes smaller")


def _end(sentence: str) -> None:
    text = sentence.encode("utf-8", "backslashreplace").decode()  # arguments may be invalid UTF-8
    text = text.replace("\n", "\\n")
    print(f"error: {text}", file=sys.stderr)
    raise SystemExit(2) from None


def is_out_of_memory(error: BaseException) -> bool:
    """Did an allocation fail?"""
    text = str(error)
    return isinstance(error, MemoryError) or any(words in text for words in NO_MEMORY)
