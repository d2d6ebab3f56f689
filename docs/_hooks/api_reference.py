"""The API reference: one page for each package of `src/ilvf`, made of its docstrings."""

import ast
from collections.abc import Iterable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

SOURCE = Path(__file__).parents[2] / "src"
PACKAGE = SOURCE / "ilvf"
FOLDER = "api"
DEEPEST = 2  # packages below this depth belong to the page above them
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
INTRODUCTION = """
::: {name}
    options:
      members: []
      show_root_heading: false
      show_root_toc_entry: false
"""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the pages under the entry `API` of the navigation."""
    pages = [f"{FOLDER}/index.md", *(page_of(package) for package in packages())]
    for entry in config.nav:
        if "API" in entry:
            entry["API"] = pages
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add one page per package, and one for the modules beside them."""
    files.append(File.generated(config, f"{FOLDER}/index.md", content=index_page()))
    for package in packages():
        content = package_page(package)
        files.append(File.generated(config, page_of(package), content=content))
    return files


def packages() -> list[Path]:
    """The packages below `ilvf` that have a page, in reading order."""
    found = [path.parent for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE]
    return sorted((path for path in found if depth(path) <= DEEPEST), key=place)


def depth(package: Path) -> int:
    """How far a package is below `ilvf`."""
    return len(package.relative_to(PACKAGE).parts)


def place(package: Path) -> tuple[int, str]:
    """A sort key: the order of the first folder, then the name."""
    first = package.relative_to(PACKAGE).parts[0]
    position = ORDER.index(first) if first in ORDER else len(ORDER)
    return position, name_of(package)


def name_of(path: Path) -> str:
    """The dotted name of a module or package."""
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts)


def page_of(package: Path) -> str:
    """The page of a package: `api/envs.traffic.md`."""
    return f"{FOLDER}/{name_of(package).removeprefix('ilvf.')}.md"


def index_page() -> str:
    """The list of packages, and the modules that belong to none."""
    lines = [
        "# API",
        "",
        "The names used most can be imported from `ilvf`, and all from these packages.",
        "",
    ]
    lines += ["| package | contents |", "|---|---|"]
    for package in packages():
        link = page_of(package).removeprefix(f"{FOLDER}/")
        lines.append(f"| [`{name_of(package)}`]({link}) | {title(package)} |")
    return "\n".join([*lines, "", *directives(PACKAGE.glob("*.py"))])


def package_page(package: Path) -> str:
    """The docstring of a package, and all modules that have no page of their own."""
    name = name_of(package)
    modules = package.rglob("*.py") if depth(package) == DEEPEST else package.glob("*.py")
    return "\n".join([f"# {name}", INTRODUCTION.format(name=name), *directives(modules)])


def directives(modules: Iterable[Path]) -> list[str]:
    """A line for mkdocstrings for each module."""
    lines = []
    for path in sorted(modules):
        if path.name not in HIDDEN:
            lines += [f"::: {name_of(path)}", ""]
    return lines


def title(package: Path) -> str:
    """The first line of a package's docstring."""
    source = (package / "__init__.py").read_text()
    return (ast.get_docstring(ast.parse(source)) or "").split("\n")[0]
