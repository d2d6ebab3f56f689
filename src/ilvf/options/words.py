"""Words for messages: a value as the command line would have it, and the nearest known name."""

import difflib
from collections.abc import Sequence
from typing import Any

LONGEST = 160  # characters of a value in a message


def shown(value: Any) -> str:
    """A value as the command line would have it."""
    if value is None:
        return "null"
    try:
        return one_line(repr(value))
    except ValueError:  # Python does not print integers of thousands of digits
        return "a number of thousands of digits"


def one_line(text: str) -> str:
    """`text` with visible control characters; a long one is cut."""
    start = text[:LONGEST]
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in start)
    return line if len(text) <= LONGEST else f"{line}... ({len(text)} characters)"


def nearest(name: str, known: Sequence[str]) -> str:
    """ ", did you mean 'NAME'?", or nothing if `name` is known or no known name is close."""
    if name in known:  # the message of a check that holds
        return ""
    lasts = {k: k.rpartition(".")[2] for k in known}
    tails = [k for k, last in lasts.items() if last == name]
    same = {k.lower(): k for k in known}
    close = difflib.get_close_matches(name.lower(), same, n=1, cutoff=0.6)
    parts = [k for k, last in lasts.items() if name in last.split("_")]
    found = tails or [same[k] for k in close] or parts
    return f", did you mean {found[0]!r}?" if found else ""


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """key → its last word, or the whole key where several have the same last word."""
    lasts = [key.rpartition(".")[2] for key in keys]
    names = {}
    for key, last in zip(keys, lasts, strict=True):
        names[key] = last if lasts.count(last) == 1 else key
    return names
