"""What a sweep varies: lists of values and ranges, from the text of a command line.

algorithm.tau=0.5,1,2            a list
algorithm.tau=0.1..5             a range, for a sampler
algorithm.lr=1e-4..1e-2:log      a range of which a sampler takes logarithms
env.ratio=[1,2],[3,4]            a list of lists: a comma in brackets belongs to a value
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ilvf.errors import require
from ilvf.experiment.schema import Leaf, require_known, require_literal
from ilvf.options import alternatives, one_line, parse_yaml, text_of

OPEN = "[{("
CLOSED = "]})"
RANGE = re.compile(r"(?P<low>[^,:]+?)\.\.(?P<high>[^,:]+)(?P<log>:log)?")
NUMBERS = re.compile(r"[-+\d.e]+\.\.[-+\d.e]+(:log)?")


@dataclass(frozen=True)
class Values:
    """A key and the values that it takes in turn."""

    key: str
    values: tuple[Any, ...]

    @property
    def texts(self) -> list[str]:
        """The values as the command line has them."""
        return [text_of(value) for value in self.values]

    def __str__(self) -> str:
        return f"{self.key}={','.join(self.texts)}"


@dataclass(frozen=True)
class Range:
    """A key and the interval of its values.

    Attributes:
        low, high: both included.
        log: values are spread evenly over logarithms.
    """

    key: str
    low: float
    high: float
    log: bool

    @property
    def is_whole(self) -> bool:
        """Are the values whole numbers?"""
        return isinstance(self.low, int)

    def __str__(self) -> str:
        return f"{self.key}={self.low}..{self.high}{':log' if self.log else ''}"


Axis = Values | Range


@dataclass(frozen=True)
class Space:
    """What a sweep runs.

    Attributes:
        recipe: algorithm of all runs.
        env: environment as the command line has it: a name, a ready-made task or a file.
        fixed: keys that all runs share, with their values.
        varied: what the other keys are swept over.
    """

    recipe: str
    env: str
    fixed: dict[str, Any]
    varied: list[Axis]


def fixed_and_varied(
    given: Mapping[str, str], leaves: Mapping[str, Leaf]
) -> tuple[dict[str, Any], list[Axis]]:
    """The keys that have one value, with it, and what the others are swept over.

    Both are in alphabetical order, so that the order of arguments does not matter.
    """
    fixed: dict[str, Any] = {}
    varied: list[Axis] = []
    for key in sorted(given):
        axis = axis_of(key, given[key], leaves)
        if isinstance(axis, Values) and len(axis.values) == 1:
            fixed[key] = axis.values[0]
        else:
            varied.append(axis)
    return fixed, varied


def axis_of(key: str, text: str, leaves: Mapping[str, Leaf]) -> Axis:
    """What a key is swept over; `Values` with one value for a key that is not swept.

    Raises:
        UsageError: the key is unknown, or a value or an end of a range is wrong.
    """
    leaf = require_known(key, leaves, "command line")
    if ".." in text and is_number(leaf) and key == leaf.key:
        return range_of(key, text, leaf)
    require(
        NUMBERS.fullmatch(text) is None,
        f"{key}={one_line(text)}: only keys that take a plain number have ranges; list the values",
    )
    texts = pieces(text)
    require(
        all(piece.strip() for piece in texts) or len(texts) == 1,
        f"{key}={one_line(text)} has an empty value; leave out one comma",
    )
    found = Values(key, tuple(value_of(key, piece, leaf) for piece in texts))
    for value in found.texts:
        require(
            found.texts.count(value) == 1,
            f"{key}={one_line(text)} has {one_line(value)} twice; leave out one",
        )
    return found


def is_number(leaf: Leaf) -> bool:
    """Does the key take a plain number?"""
    return bool({int, float} & set(alternatives(leaf.kind)))


def value_of(key: str, text: str, leaf: Leaf) -> Any:
    """The value of one item of a list."""
    if key == leaf.key:
        return leaf.parsed(text)
    value = parse_yaml(key, text)  # an entry of an open mapping, such as env.kwargs.N
    require_literal(key, value)
    return value


def range_of(key: str, text: str, leaf: Leaf) -> Range:
    """The range that a text means.

    Raises:
        UsageError: it is no range, an end is no value of the key, or it is empty.
    """
    given = f"{key}={one_line(text)}"
    match = RANGE.fullmatch(text)
    require(
        match is not None,
        f"{given} is no range; write one as {key}=LOW..HIGH or {key}=LOW..HIGH:log, without others",
    )
    assert match is not None
    low = leaf.parsed(match["low"])
    high = leaf.parsed(match["high"])
    require(
        None not in (low, high) and low < high,
        f"{given} is an empty range; the first number must be below the second",
    )
    log = match["log"] is not None
    require(not log or low > 0, f"{given}: a range with :log must begin above 0")
    return Range(key, low, high, log)


def pieces(text: str) -> list[str]:
    """The items of a list: parts between the commas that are not in brackets."""
    found = [""]
    depth = 0
    for letter in text:
        depth += (letter in OPEN) - (letter in CLOSED)
        if letter == "," and depth == 0:
            found.append("")
        else:
            found[-1] += letter
    return found
