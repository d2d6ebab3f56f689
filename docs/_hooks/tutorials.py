"""Tutorial pages: runs `docs/tutorials/*.py` and renders text, code, output and pictures.

A script consists of cells separated by lines `# %%`. A cell of comment lines is Markdown text.
Any other cell is code; what it prints follows it on the page. Pictures that a script saves in
its working directory become files beside the page.
"""

import contextlib
import io
import logging
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

FOLDER = Path(__file__).parents[1] / "tutorials"
_rendered: dict[str, "Tutorial"] = {}  # by source, so that `mkdocs serve` runs a script once


@dataclass
class Tutorial:
    """A script that has been run.

    Attributes:
        page: its Markdown page.
        printed: all output.
        pictures: file name → content.
        scope: the script's variables at the end.
    """

    page: str
    printed: str
    pictures: dict[str, bytes]
    scope: dict[str, Any] = field(repr=False)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add one page per script, and its pictures."""
    for script in sorted(FOLDER.glob("*.py")):
        tutorial = render(script)
        name = f"tutorials/{script.stem}.md"
        files.append(File.generated(config, name, content=tutorial.page))
        for picture, content in tutorial.pictures.items():
            files.append(File.generated(config, f"tutorials/{picture}", content=content))
    return files


def render(script: Path) -> Tutorial:
    """Run a script, or return what an earlier run of the same source gave."""
    source = script.read_text()
    if source not in _rendered:
        _rendered[source] = run(source, script.name)
    return _rendered[source]


def run(source: str, name: str) -> Tutorial:
    """Run the cells of a script one after the other in an empty folder.

    PyTorch gets one thread: with networks this small, more threads wait for each other.
    """
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    scope: dict[str, Any] = {"__name__": "__main__"}
    page: list[str] = []
    printed: list[str] = []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for cell in cells(source):
            if is_text(cell):
                page.append(text_of(cell))
                continue
            output = output_of(cell, name, scope)
            printed.append(output)
            page.append(f"```python\n{cell}\n```")
            if output:
                page.append(f"```text\n{output.rstrip()}\n```")
        pictures = {p.name: p.read_bytes() for p in sorted(Path(folder).glob("*.png"))}
    return Tutorial("\n\n".join(page) + "\n", "".join(printed), pictures, scope)


def cells(source: str) -> list[str]:
    """The cells of a script, without the lines that separate them."""
    parts = ("\n" + source).split("\n# %%\n")
    return [part.strip("\n") for part in parts if part.strip()]


def is_text(cell: str) -> bool:
    """Whether a cell has nothing but comments."""
    return all(line.startswith("#") for line in cell.splitlines() if line)


def text_of(cell: str) -> str:
    """The Markdown in a cell of comments."""
    return "\n".join(line.removeprefix("#").removeprefix(" ") for line in cell.splitlines())


def output_of(cell: str, name: str, scope: dict[str, Any]) -> str:
    """Run a cell; what it prints to standard output."""
    printed = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
        warnings.simplefilter("ignore")
        exec(compile(cell, name, "exec"), scope)
    return printed.getvalue()
