"""Config keys and values of older versions, which command lines and checkpoints may still have."""

import sys
from typing import Any

from ilvf.options import one_line

KEYS = {"algorithm.normalise": "algorithm.normalize_values"}
VALUES = {  # key → old value → new value
    "algorithm.noise": {"auto": None, "true": True, "false": False},
}
ADDED = {  # values where an older checkpoint has no such key
    "algorithm.attention_share": 1.0,
    "algorithm.supervision": 0.0,
    "env.priority_waits": False,
}


def renamed_key(key: str) -> str:
    """Today's name of a key."""
    return KEYS.get(key, key)


def renamed_value(key: str, value: Any) -> Any:
    """Today's form of a saved value."""
    choices = VALUES.get(key, {})
    return choices[value] if isinstance(value, str) and value in choices else value


def renamed_argument(key: str, text: str) -> tuple[str, str]:
    """Today's form of a command line's `key=text`; says what has changed."""
    new_key = renamed_key(key)
    new_text = "null" if (new_key, text) == ("algorithm.noise", "auto") else text
    if (new_key, new_text) != (key, text):
        print(
            f"note: {key}={one_line(text)} is now {new_key}={one_line(new_text)}", file=sys.stderr
        )
    return new_key, new_text
