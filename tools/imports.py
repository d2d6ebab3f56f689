"""The import graph of `ilvf`: its cycles, and imports that go against the order of the layers."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sources import Source

PACKAGE = "ilvf"
LAYERS = (  # from low to high; a module may import from its own layer and from lower ones
    ("errors", "lazy", "options", "distributed", "plugins", "starting"),
    ("modules",),
    ("credit",),
    ("losses",),
    ("data", "analysis", "checkpoints"),
    ("collectors",),
    ("algorithms",),
    ("experiment", "reports"),
    ("studies", "deploy", "integrations"),
    ("commands", "__main__", ""),  # "": the package itself
)
LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names}
LEVELS["envs"] = LEVELS["modules"]
USERS_OF_ENVS = (
    "envs",
    "data",
    "analysis",
    "collectors",
)  # and everything from `algorithms` upward


@dataclass(frozen=True)
class Arrow:
    """One import: module `start` at `place` imports module `end`."""

    start: str
    end: str
    place: str

    def __str__(self) -> str:
        return f"{self.place}: {self.start} imports {self.end}"


def module_name(source: Source) -> str:
    """`ilvf.modules.mixer` for `src/ilvf/modules/mixer.py`."""
    parts = source.name.removesuffix(".py").split("/")[1:]
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


def modules_of(sources: Sequence[Source]) -> dict[str, Source]:
    """The modules of the package by name."""
    return {module_name(s): s for s in sources if s.name.startswith(f"src/{PACKAGE}/")}


def arrows(modules: Mapping[str, Source]) -> list[Arrow]:
    """All imports between `modules`, also those inside functions; not those for type checkers.

    A name that a package only hands on, at once or when first used, leads to the module that
    defines it.
    """
    homes = {name: exported(source, modules) for name, source in modules.items()}
    found = []
    for start, source in modules.items():
        for node in imports_in(source.tree):
            for end in targets(node, start, modules, homes):
                if end != start:
                    found.append(Arrow(start, end, source.at(node)))
    return found


def imports_in(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Import statements at any depth, except below `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and is_for_type_checkers(node):
            for branch in node.orelse:
                yield from imports_in(branch)
        else:
            yield from imports_in(node)


def is_for_type_checkers(node: ast.If) -> bool:
    return ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def exported(source: Source, modules: Mapping[str, Source]) -> dict[str, str]:
    """Names that a package imports from its modules → the module where each is defined."""
    if not source.name.endswith("__init__.py"):
        return {}
    found = {}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom):
            home = absolute(node, module_name(source), is_package=True)
            for alias in node.names:
                if home in modules:
                    found[alias.asname or alias.name] = home
    return found


def absolute(node: ast.ImportFrom, start: str, is_package: bool) -> str:
    """The absolute name of the module in `from MODULE import ...`."""
    if not node.level:
        return node.module or ""
    drop = node.level - is_package
    parts = start.split(".")
    base = parts[: len(parts) - drop]
    return ".".join([*base, *filter(None, [node.module])])


def targets(
    node: ast.Import | ast.ImportFrom,
    start: str,
    modules: Mapping[str, Source],
    homes: Mapping[str, Mapping[str, str]],
) -> set[str]:
    """The modules of the package that one import statement leads to."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names if alias.name in modules}
    is_package = modules[start].name.endswith("__init__.py")
    package = absolute(node, start, is_package)
    found = set()
    for alias in node.names:
        submodule = f"{package}.{alias.name}"
        if submodule in modules:
            found.add(submodule)
        elif package in modules:
            found.add(home_of(alias.name, package, homes))
    return found


def home_of(name: str, package: str, homes: Mapping[str, Mapping[str, str]]) -> str:
    """The module that defines `name`, which `package` provides."""
    while name in homes.get(package, {}):
        package = homes[package][name]
    return package


# ---------------------------------------------------------------------- cycles
def cycles(found: Sequence[Arrow]) -> list[list[str]]:
    """Groups of modules that import each other in a circle: strongly connected components."""
    graph: dict[str, set[str]] = {}
    for arrow in found:
        graph.setdefault(arrow.start, set()).add(arrow.end)
    groups = []
    placed: set[str] = set()
    for start in sorted(graph):
        if start in placed:
            continue
        ahead = reachable(graph, start)
        group = sorted(end for end in ahead if start in reachable(graph, end))
        placed.update(group)
        if len(group) > 1:
            groups.append(group)
    return groups


def reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    """`start` and all modules to which a path leads from it."""
    seen = {start}
    waiting = [start]
    while waiting:
        for end in graph.get(waiting.pop(), set()) - seen:
            seen.add(end)
            waiting.append(end)
    return seen


# ---------------------------------------------------------------------- layers
def between_parts(found: Sequence[Arrow]) -> list[Arrow]:
    """The imports between different parts of the package, such as `credit` and `data`."""
    parts = [Arrow(part_of(a.start), part_of(a.end), a.place) for a in found]
    return [a for a in parts if a.start and a.end and a.start != a.end]


def part_of(module: str) -> str:
    """The part of the package that a module belongs to: `credit` for `ilvf.credit.signals`."""
    _, *parts = module.split(".")
    return parts[0] if parts else ""


def upward(found: Sequence[Arrow]) -> list[Arrow]:
    """Imports that lead to a higher layer, or to `envs` from a part that must not know it."""
    return [arrow for arrow in found if not is_allowed(part_of(arrow.start), part_of(arrow.end))]


def is_allowed(start: str, end: str) -> bool:
    if start not in LEVELS or end not in LEVELS:
        return False
    if start == end:
        return True
    if end == "":  # `from ilvf import __version__`
        return True
    if end == "envs":
        return start in USERS_OF_ENVS or LEVELS[start] >= LEVELS["algorithms"]
    if start == "envs":
        return end == "modules" or LEVELS[end] == 0
    return LEVELS[end] <= LEVELS[start]
