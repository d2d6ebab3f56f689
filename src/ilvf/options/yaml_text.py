"""Yaml as data: mappings, lists, words, numbers, truth values and null.

The text is scanned before anything is built from it. What can hang or exhaust a program is refused:
deep nesting, aliases (a few of them can mean billions of values), tags, numbers of thousands of
digits. So is what yaml reads in another way than most people: 010 is 8, and 12:30 is 750.
"""

import re
from typing import Any

from ilvf.errors import UsageError, require
from ilvf.options.words import one_line

LONGEST_TEXT = 100_000  # characters
DEEPEST = 30  # levels of lists and mappings
LONGEST_NUMBER = 100  # characters
NUMBER = re.compile(r"[-+]?[0-9][0-9a-fA-FxX_:.]*")
STRANGE = re.compile(r"[-+]?(0[0-9_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)")


def read_yaml(text: str, sentence: str) -> Any:
    """The value of a yaml text.

    Args:
        sentence: begins the message, such as "FILE is no yaml file".

    Raises:
        UsageError: the text is no yaml, or has something that is refused.
    """
    import yaml
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        scan(text, sentence)
        parsed = OmegaConf.from_dotlist([f"v={text}"])
        content: Any = OmegaConf.to_container(parsed, resolve=False)
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise UsageError(f"{sentence}: {reason_of(error)}") from error
    return content["v"]


def scan(text: str, sentence: str) -> None:
    """Raise if a yaml text has something that is refused; builds no values."""
    import yaml

    require(len(text) <= LONGEST_TEXT, f"{sentence}: it has more than {LONGEST_TEXT} characters")
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        require(depth <= DEEPEST, f"{sentence}: it is nested more than {DEEPEST} levels deep")
        require(
            not isinstance(event, yaml.AliasEvent),
            f"{sentence}: aliases are not allowed here; write the value again in place of "
            f"*{one_line(str(getattr(event, 'anchor', '')))}",
        )
        tag = getattr(event, "tag", None)
        require(
            tag is None,
            f"{sentence}: tags are not allowed here; leave out {one_line(str(tag))}",
        )
        if isinstance(event, yaml.ScalarEvent):
            require_plain(event.value, event.style is not None, sentence)


def require_plain(value: str, quoted: bool, sentence: str) -> None:
    """Raise unless a word or number of a yaml text means what it seems to mean."""
    require(
        "${" not in value, f"{sentence}: {one_line(value)} has '${{', which is not allowed here"
    )
    if quoted:
        return
    require(
        STRANGE.fullmatch(value) is None,
        f"{sentence}: {one_line(value)} is octal or of base 60 in yaml; write it as a decimal "
        "number, or quote it",
    )
    require(
        len(value) <= LONGEST_NUMBER or NUMBER.fullmatch(value) is None,
        f"{sentence}: a number of {len(value)} digits is too long",
    )


def reason_of(error: Exception) -> str:
    """What is wrong in a yaml text, in one line."""
    problem = getattr(error, "problem", None)
    mark = getattr(error, "problem_mark", None)
    if problem and mark:
        return f"{one_line(problem)}, in line {mark.line + 1}"
    return one_line(str(error).strip().splitlines()[0])
