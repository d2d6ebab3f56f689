"""The one exception that means: the caller can fix this."""


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
