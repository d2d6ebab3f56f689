"""The values that the text of a command line means, and the text that means a value."""

import json
import typing
from collections.abc import Mapping
from typing import Any

from ilvf.errors import UsageError
from ilvf.options.checks import alternatives, describe
from ilvf.options.words import one_line
from ilvf.options.yaml_text import read_yaml


def parse(name: str, text: str, kind: Any) -> Any:
    """The value that `text` of a command line means for an option of the type `kind`.

    Words and paths are taken as typed. `null` and empty text are None where the type allows it.
    """
    kinds = alternatives(kind)
    plain = [k for k in kinds if k is not type(None)]
    if type(None) in kinds and text in ("", "null", "none", "None"):
        return None
    structured = any(k is Any or (typing.get_origin(k) or k) in (dict, list) for k in plain)
    if structured:
        return parse_yaml(name, text)
    for k in plain:
        value = parse_plain(text, k)
        if value is not None:
            return value
    raise UsageError(f"{name}={one_line(text) if text else 'null'} must be {describe(kind)}")


def parse_plain(text: str, kind: Any) -> Any:
    """`text` as a bool, int, float or word; None if it is none of that kind."""
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower())
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            return None
    return text


def parse_yaml(name: str, text: str) -> Any:
    """A list, a mapping or a scalar in yaml notation."""
    return read_yaml(text, f"{name}={one_line(text)} cannot be read")


def yaml_text_of(value: Any) -> str:
    """The text that means a value in yaml notation; the inverse of `parse_yaml`.

    A word such as "7", "off" or "null" gets quotes, without which it means something else.
    """
    text = text_of(value)
    if not isinstance(value, str):
        return text
    try:
        same = parse_yaml("", text) == value
    except UsageError:
        same = False
    return text if same else json.dumps(value)


def text_of(value: Any) -> str:
    """The text that means a value; the inverse of `parse`, where words are taken as typed."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | Mapping):
        return json.dumps(value)  # json is yaml in one line
    return str(value)
