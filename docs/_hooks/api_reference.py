"""The API reference: one page for each package of `src/ilvf`, from the docstrings of its modules."""

import ast
from collections.abc import Iterable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

SOURCE = Path(__file__).parents[2] / "src"
PACKAGE = SOURCE / "ilvf"
FOLDER = "api"
ORDER = (  # the way that the data takes; packages not named here follow by name
    "credit",
    "losses",
    "modules",
    "algorithms",
    "envs",
    "analysis",
    "data",
    "checkpoints",
    "experiment",
    "reports",
    "commands",
)
HIDDEN = ("__init__.py", "__main__.py")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the pages under the entry `API` of the navigation."""
    pages = [f"{FOLDER}/index.md", *(f"{FOLDER}/{room.name}.md" for room in rooms())]
    for entry in config.nav:
        if "API" in entry:
            entry["API"] = pages
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add one page per package, and one for the modules beside them."""
    files.append(File.generated(config, f"{FOLDER}/index.md", content=index_page()))
    for room in rooms():
        name = f"{FOLDER}/{room.name}.md"
        files.append(File.generated(config, name, content=room_page(room)))
    return files


def rooms() -> list[Path]:
    """The packages directly below `ilvf`, in reading order."""
    found = {path.parent.name: path.parent for path in PACKAGE.glob("*/__init__.py")}
    first = [found.pop(name) for name in ORDER if name in found]
    return first + [found[name] for name in sorted(found)]


def index_page() -> str:
    """The list of packages, and the modules that belong to none."""
    lines = ["# API", "", "All public names can be imported from `ilvf`.", ""]
    lines += ["| package | contents |", "|---|---|"]
    lines += [f"| [`ilvf.{room.name}`]({room.name}.md) | {title(room)} |" for room in rooms()]
    lines += ["", *directives(PACKAGE.glob("*.py"))]
    return "\n".join(lines)


def room_page(room: Path) -> str:
    """All modules of a package."""
    return "\n".join(
        [f"# ilvf.{room.name}", "", title(room), "", *directives(room.rglob("*.py"))]
    )


def directives(modules: Iterable[Path]) -> list[str]:
    """A line for mkdocstrings for each module."""
    lines = []
    for path in sorted(modules):
        if path.name not in HIDDEN:
            dotted = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
            lines += [f"::: {dotted}", ""]
    return lines


def title(room: Path) -> str:
    """The first line of a package's docstring."""
    docstring = ast.get_docstring(ast.parse((room / "__init__.py").read_text())) or ""
    return docstring.split("\n")[0]
