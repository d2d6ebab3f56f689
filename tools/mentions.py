"""Files to touch for a new algorithm, environment or default, counted for ones that exist."""

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sources import ROOT, Source

FOLDERS = ("src/ilvf", "recipes", "tests", "docs")
SUFFIXES = (".py", ".yaml", ".toml")


@dataclass(frozen=True)
class Registered:
    """Something that is found by a name.

    Attributes:
        name: the name in its registry.
        classes: its public classes.
        folder: a folder of its own, whose files are not counted.
    """

    name: str
    classes: tuple[str, ...]
    folder: str | None = None

    @property
    def pattern(self) -> re.Pattern[str]:
        words = "|".join([self.name, *self.classes])
        return re.compile(rf"\b({words})\b")


COMA = Registered("coma", ("COMA", "COMAConfig", "COMAOptions"))
CACC = Registered("cacc", ("CACC", "CACCOptions"), folder="src/ilvf/envs/cacc/")


def files_of(thing: Registered, root: Path = ROOT) -> list[str]:
    """Files that mention `thing` in code or configuration, or carry its name.

    Comments, docstrings and markdown do not count, nor does a configuration file of another name,
    which only chooses `thing`. A test file counts if it has `thing` in a table, at module level or
    as a parameter of a test, which a new algorithm would have to join.
    """
    found = []
    for path in text_files(root):
        name = str(path.relative_to(root))
        if thing.folder is not None and name.startswith(thing.folder):
            continue
        if path.stem == thing.name or thing.pattern.search(content(path, name)):
            found.append(name)
    return found


def text_files(root: Path) -> Iterator[Path]:
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and path.suffix in SUFFIXES:
                yield path


def content(path: Path, name: str) -> str:
    """The text of a file that counts."""
    if path.suffix != ".py":
        return ""
    source = Source(name, path.read_text())
    return tables(source) if name.startswith("tests/") else source.words


def tables(source: Source) -> str:
    """The assignments at module level and the decorators of a test file."""
    kept: list[ast.AST] = []
    for node in source.tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            kept.append(node)
    for function in source.functions():
        kept += function.decorator_list
    return "\n".join(ast.unparse(node) for node in kept)


# ---------------------------------------------------------------------- defaults
def default_places(name: str, sources: Sequence[Source], root: Path = ROOT) -> list[str]:
    """Places that write the default of the option `name` as a literal.

    These are parameters of functions, fields of classes, and keys of yaml files other than presets.
    Environments have options of their own and are left out.
    """
    found = []
    for source in sources:
        if not source.name.startswith("src/ilvf/envs/"):
            found += [f"{source.name}:{line} {where}" for line, where in defaults_in(source, name)]
    for path in text_files(root):
        if path.suffix != ".yaml" or "preset" in path.parts:
            continue
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            if re.match(rf"\s*{name}:\s*(?!null\b)[^\s#]", line):
                found.append(f"{path.relative_to(root)}:{number}")
    return found


def defaults_in(source: Source, name: str) -> Iterable[tuple[int, str]]:
    """(line, owner) of each default of `name` in one file."""
    for function in source.functions():
        for argument, default in defaulted(function.args):
            if argument.arg == name and is_literal(default):
                yield argument.lineno, function.name
    for owner in source.classes():
        for member in owner.body:
            if not isinstance(member, ast.AnnAssign) or ast.unparse(member.target) != name:
                continue
            if is_literal(member.value):
                yield member.lineno, owner.name


def defaulted(arguments: ast.arguments) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    """Every parameter that has a default, with it."""
    positional = [*arguments.posonlyargs, *arguments.args]
    with_default = positional[len(positional) - len(arguments.defaults) :]
    yield from zip(with_default, arguments.defaults, strict=True)
    yield from zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)


def is_literal(value: ast.expr | None) -> bool:
    """Whether `value` is a literal or `option(literal, ...)`; None is no default of its own."""
    if isinstance(value, ast.Call) and value.args:
        value = value.args[0]
    return isinstance(value, ast.Constant) and value.value is not None
