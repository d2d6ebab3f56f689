"""Bad command lines, generated from the declarations of all options."""

import random
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ilvf.algorithms.options import ALGORITHMS
from ilvf.commands.cli import COMMANDS, module_of
from ilvf.envs.options import ENVIRONMENTS
from ilvf.experiment.options import training_schema
from ilvf.experiment.schema import Leaf
from ilvf.options import alternatives, words_of

NOT_ASCII = "ü∞数"
STRUCTURED = (list, dict, Any)


@dataclass(frozen=True)
class BadInput:
    """A command line that somebody may type by mistake.

    Attributes:
        what: kind of mistake.
        command: words before the arguments.
        key: that the mistake is in.
        arguments: `key=value`, the mistake last.
        refused: the command must refuse it; otherwise it may.
        words: that the sentence must have.
    """

    what: str
    command: tuple[str, ...]
    key: str
    arguments: tuple[str, ...]
    refused: bool
    words: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The mistake, shortened."""
        return f"{' '.join(self.command)} {self.arguments[-1][:60]} ({self.what})"


def bad_inputs(rng: random.Random) -> list[BadInput]:
    """Every mistake for every key of every algorithm, environment and command."""
    found = []
    for command, arguments, leaves in commands():
        for leaf in leaves.values():
            for mistake in mistakes(leaf, leaves, rng):
                given = (*arguments, *mistake.arguments)
                found.append(replace(mistake, command=command, arguments=given))
    return found


def commands() -> Iterator[tuple[tuple[str, ...], tuple[str, ...], dict[str, Leaf]]]:
    """(command, arguments before the mistake, keys); a key that others share comes once."""
    seen: set[str] = set()
    for name in ALGORITHMS:
        leaves = training_schema(name).leaves("encircle")
        yield ("train", name), (), part(leaves, ("algorithm.",))
        yield ("train", name), (), unseen(leaves, seen)
    for name in ENVIRONMENTS:
        leaves = training_schema("ilvf_p").leaves(name)
        yield ("train", "ilvf_p"), (f"env={name}",), part(leaves, ("env.",))
    for name in COMMANDS:
        if name != "train":
            schema = module_of(name).SCHEMA
            yield (name,), (), schema.leaves(schema.env)


def part(leaves: Mapping[str, Leaf], sections: tuple[str, ...]) -> dict[str, Leaf]:
    """The keys of some sections."""
    return {key: leaf for key, leaf in leaves.items() if key.startswith(sections)}


def unseen(leaves: Mapping[str, Leaf], seen: set[str]) -> dict[str, Leaf]:
    """The keys of no algorithm and environment, at the first call."""
    found = {}
    for key, leaf in leaves.items():
        if key not in seen and not key.startswith(("algorithm.", "env.")):
            seen.add(key)
            found[key] = leaf
    return found


# ---------------------------------------------------------------------- mistakes of one key
def mistakes(leaf: Leaf, leaves: Mapping[str, Leaf], rng: random.Random) -> Iterator[BadInput]:
    """All mistakes with one key."""
    for what, text, refused in values(leaf):
        yield BadInput(what, (), leaf.key, (f"{leaf.key}={text}",), refused)
    name = misspelt(leaf.key, leaves, rng)
    if name is not None:
        argument = f"{name}={shown(leaf.default)}"
        words = ("unknown key", "did you mean")
        yield BadInput("near-miss key", (), leaf.key, (argument,), True, words)
    if leaf.key not in ("preset", "resume", "checkpoint"):
        twice = (f"{leaf.key}={NOT_ASCII}", f"{leaf.key}={shown(leaf.default)}")
        yield BadInput("given twice", (), leaf.key, twice, False)


def values(leaf: Leaf) -> Iterator[tuple[str, str, bool]]:
    """(kind of mistake, text, whether it must be refused) for a key's type."""
    kinds = [kind for kind in alternatives(leaf.kind) if kind is not type(None)]
    optional = len(kinds) < len(alternatives(leaf.kind))
    plain = [typing.get_origin(kind) or kind for kind in kinds]
    is_word = str in plain
    is_free = any(kind in STRUCTURED for kind in plain)
    strict = not is_word and not is_free  # otherwise yaml decides, or everything is a word
    yield "empty", "", strict and not optional
    yield "null", "null", strict and not optional
    yield "not ASCII", NOT_ASCII, strict
    yield "a list", "[1, {a: 2}]", strict
    yield "an interpolation", "${oc.env:HOME}", True
    yield "a yaml tag", "!!python/object/apply:os.getcwd []", strict
    yield "control characters", "a\x01\x1b[31mb", strict
    yield "10,000 letters", "x" * 10_000, strict
    if words_of(kinds):
        yield "unknown word", "bogus", True
        yield "other case", words_of(kinds)[0].upper(), True
    elif bool in plain and len(plain) == 1:
        yield from (("no truth value", text, True) for text in ("2", "maybe", "yes"))
    elif int in plain or float in plain:
        yield from numbers(leaf, whole=float not in plain)
        yield "hexadecimal", "0x10", strict


def numbers(leaf: Leaf, whole: bool) -> Iterator[tuple[str, str, bool]]:
    """Mistakes with the values of a number."""
    yield "a word", "many", True
    yield "a truth value", "true", True
    yield "nan", "nan", True
    yield "infinite", "inf", True
    yield "30 digits", "9" * 30, whole
    yield "5000 digits", "9" * 5000, True
    if whole:
        yield "a fraction", "1.5", True
    bounds = leaf.metadata
    below = bounds.get("least"), bounds.get("above")
    beyond = bounds.get("most"), bounds.get("below")
    for least in (bound for bound in below if bound is not None):
        yield "too small", str(int(least) - 1), True
        yield "much too small", str(-(10**15)), True
    for most in (bound for bound in beyond if bound is not None):
        yield "too large", str(int(most) + 1), True
        yield "much too large", str(10**15 + int(most)), True
    if bounds.get("above") is not None:
        yield "at the open bound", str(bounds["above"]), True


def misspelt(key: str, leaves: Mapping[str, Leaf], rng: random.Random) -> str | None:
    """The key with two letters exchanged; None if that is a key too, or the same."""
    section, dot, name = key.rpartition(".")
    if len(name) < 4:
        return None
    at = rng.randrange(1, len(name) - 1)
    changed = name[:at] + name[at + 1] + name[at] + name[at + 2 :]
    found = f"{section}{dot}{changed}"
    return None if found in leaves else found


def shown(default: Any) -> str:
    """A default as an argument."""
    if default is None:
        return "null"
    return str(default).lower() if isinstance(default, bool) else str(default)
