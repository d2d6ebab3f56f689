"""Measures of single files: lengths, packed expressions, constructors."""

import ast
from collections.abc import Iterator, Sequence

from sources import Definition, Source, docstring_lines_of

WIDTH = 100  # characters of a line
LENGTH = 250  # lines of a file
PARAMETERS = 8  # of a constructor
DENSE = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.IfExp)

Found = tuple[int, str]  # a number and the place that it belongs to


def function_lengths(sources: Sequence[Source]) -> list[Found]:
    """Lines from `def` to the last line of each function, without its docstring; longest first."""
    found = []
    for source in sources:
        for function in source.functions():
            found.append((length_of(function), f"{source.at(function)} {function.name}"))
    return sorted(found, reverse=True)


def length_of(function: Definition) -> int:
    last = function.end_lineno or function.lineno
    return last - function.lineno + 1 - len(docstring_lines_of(function))


def long_lines(sources: Sequence[Source]) -> list[Found]:
    """Lines of more than `WIDTH` characters."""
    found = []
    for source in sources:
        for number, line in enumerate(source.lines, start=1):
            if len(line) > WIDTH:
                found.append((len(line), f"{source.name}:{number}"))
    return found


def tuple_assignments(sources: Sequence[Source]) -> list[str]:
    """Places of `a, b = x, y`; swaps such as `a, b = b, a` do not count."""
    return [
        source.at(node)
        for source in sources
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Assign) and is_packed(node)
    ]


def is_packed(node: ast.Assign) -> bool:
    """Whether an assignment writes as many unrelated values as it has targets."""
    target = node.targets[0]
    value = node.value
    if not isinstance(target, ast.Tuple) or not isinstance(value, ast.Tuple):
        return False
    if len(target.elts) != len(value.elts):
        return False
    targets = sorted(ast.unparse(item) for item in target.elts)
    values = sorted(ast.unparse(item) for item in value.elts)
    return targets != values


def dense_expressions(sources: Sequence[Source]) -> list[str]:
    """Places of comprehensions, generator expressions and conditional expressions."""
    return [
        source.at(node)
        for source in sources
        for node in ast.walk(source.tree)
        if isinstance(node, DENSE)
    ]


def code_line_count(sources: Sequence[Source]) -> int:
    return sum(len(source.code_lines) for source in sources)


def constructors(sources: Sequence[Source]) -> list[Found]:
    """Parameters of every `__init__` without `self`; `*args` and `**options` count one each.

    The generated constructors of dataclasses are not counted: their fields are declarations.
    """
    found = []
    for source in sources:
        for owner, init in inits(source):
            found.append((parameter_count(init), f"{source.at(init)} {owner.name}"))
    return sorted(found, reverse=True)


def inits(source: Source) -> Iterator[tuple[ast.ClassDef, Definition]]:
    for owner in source.classes():
        for member in owner.body:
            if isinstance(member, Definition) and member.name == "__init__":
                yield owner, member


def parameter_count(init: Definition) -> int:
    arguments = init.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    variable = [a for a in (arguments.vararg, arguments.kwarg) if a is not None]
    return len(named) - 1 + len(variable)


def long_files(sources: Sequence[Source]) -> list[Found]:
    """Files of more than `LENGTH` lines, longest first."""
    found = [(len(source.lines), source.name) for source in sources]
    return sorted((f for f in found if f[0] > LENGTH), reverse=True)


def definitions_per_file(sources: Sequence[Source]) -> list[Found]:
    """Classes and functions of each file together, most first; nested ones too."""
    found = []
    for source in sources:
        classes = len(list(source.classes()))
        functions = len(list(source.functions()))
        found.append((classes + functions, f"{source.name} ({classes} + {functions})"))
    return sorted(found, reverse=True)
