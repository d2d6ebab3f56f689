"""The one exception that means: the caller can fix this."""

import sys
from collections.abc import Callable


class UsageError(ValueError):
    """A wrong argument, key, file or environment: one sentence saying what was found, where, and what to do.

    Recipes print it without a traceback and exit with code 2.
    """


def require(condition: bool, sentence: str) -> None:
    """Raise `UsageError(sentence)` unless `condition` holds."""
    if not condition:
        raise UsageError(sentence)


def require_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise unless `value` is one of the words in `choices`."""
    require(value in choices, f"{name}={value!r} is not known; choose one of {', '.join(choices)}")


def run_recipe(main: Callable[[], None]) -> None:
    """Run `main`; what the user can fix ends in one sentence and exit code 2."""
    try:
        main()
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
