"""The exception for mistakes that the caller can fix."""

import sys
from collections.abc import Callable


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
    require(value in choices, f"{name}={value!r} is not known; choose one of {known}")


def run_recipe(main: Callable[[], object]) -> None:
    """Run `main`; a `UsageError` ends in its sentence and exit code 2, Ctrl-C in 130."""
    try:
        main()
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
