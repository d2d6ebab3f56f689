"""Private names (`_name`) that another file than the defining one uses or overrides."""

import ast
from collections.abc import Iterator, Mapping, Sequence

from sources import Definition, Source

FRAMEWORK = {  # methods and classes that TorchRL, Lightning and torch look up by these names
    "_step",
    "_reset",
    "_set_seed",
    "_AcceptedKeys",
    "_set_in_keys",
}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name.strip("_") != ""


def across_files(sources: Sequence[Source]) -> list[str]:
    """Every use of another file's private name: imports, attributes and overriding."""
    return [*imported(sources), *used_elsewhere(sources), *overridden(sources)]


def across_files_in_tests(sources: Sequence[Source]) -> list[str]:
    """Private names that tests import or read from modules."""
    return [*imported(sources), *read_from_modules(sources)]


def imported(sources: Sequence[Source]) -> list[str]:
    """`from X import _name`."""
    found = []
    for source in sources:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ImportFrom):
                names = [alias.name for alias in node.names if is_private(alias.name)]
                found += [f"{source.at(node)}: from {node.module} import {n}" for n in names]
    return found


def read_from_modules(sources: Sequence[Source]) -> list[str]:
    """`module._name`, where `module` was imported from this project; patching is not counted."""
    found = []
    for source in sources:
        modules = imported_names(source)
        for node in attributes(source.tree):
            owner = ast.unparse(node.value).split(".")[0]
            if is_private(node.attr) and owner in modules:
                found.append(f"{source.at(node)}: {ast.unparse(node)}")
    return found


def imported_names(source: Source) -> set[str]:
    """What a file calls the modules and names that it imports from `ilvf`."""
    found = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            names = [a for a in node.names if a.name.split(".")[0] == "ilvf"]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "ilvf":
            names = node.names
        else:
            continue
        found |= {(alias.asname or alias.name).split(".")[0] for alias in names}
    return found


def attributes(tree: ast.AST) -> Iterator[ast.Attribute]:
    """All `x.y`, except in calls of `monkeypatch`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("monkeypatch."):
            continue
        if isinstance(node, ast.Attribute):
            yield node
        yield from attributes(node)


# ---------------------------------------------------------------------- attributes of objects
def used_elsewhere(sources: Sequence[Source]) -> list[str]:
    """`x._name` where another file, and not this one, defines `_name`."""
    defined = {source.name: private_definitions(source) for source in sources}
    found = []
    for source in sources:
        others = [names for name, names in defined.items() if name != source.name]
        elsewhere = set().union(*others) - defined[source.name] - FRAMEWORK
        for node in attributes(source.tree):
            if node.attr in elsewhere:
                found.append(f"{source.at(node)}: {ast.unparse(node)}")
    return found


def private_definitions(source: Source) -> set[str]:
    """Private functions, methods, classes, variables and attributes that a file defines."""
    found = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef | Definition):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
    return {name for name in found if is_private(name)}


# ---------------------------------------------------------------------- overriding
def overridden(sources: Sequence[Source]) -> list[str]:
    """Private members of a class that a base class in another file defines too."""
    classes = {owner.name: (source, owner) for source in sources for owner in source.classes()}
    found = []
    for source, owner in classes.values():
        for base_source, base in bases(owner, classes):
            if base_source.name == source.name:
                continue
            for name in sorted(members(owner) & members(base) - FRAMEWORK):
                found.append(f"{source.at(owner)}: {owner.name} overrides {base.name}.{name}")
    return found


def bases(
    owner: ast.ClassDef, classes: Mapping[str, tuple[Source, ast.ClassDef]]
) -> Iterator[tuple[Source, ast.ClassDef]]:
    """The base classes of `owner` that the project defines, and theirs."""
    for node in owner.bases:
        name = ast.unparse(node).split(".")[-1]
        if name in classes:
            yield classes[name]
            yield from bases(classes[name][1], classes)


def members(owner: ast.ClassDef) -> set[str]:
    """Private methods and class variables of a class."""
    names = set()
    for member in owner.body:
        if isinstance(member, ast.ClassDef | Definition):
            names.add(member.name)
        elif isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name):
            names.add(member.target.id)
    return {name for name in names if is_private(name)}
