"""Python files as syntax trees, with the lines that hold code and those that hold docstrings."""

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[1]
NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}
Definition = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One Python file.

    Attributes:
        name: path relative to the root of the repository.
        text: its content.
    """

    name: str
    text: str

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def tokens(self) -> list[tokenize.TokenInfo]:
        return list(tokenize.generate_tokens(io.StringIO(self.text).readline))

    @cached_property
    def docstring_lines(self) -> set[int]:
        """Numbers of the lines of all docstrings."""
        found: set[int] = set()
        for node in ast.walk(self.tree):
            found |= docstring_lines_of(node)
        return found

    @cached_property
    def code_lines(self) -> set[int]:
        """Numbers of the lines that hold something other than comments and docstrings."""
        found: set[int] = set()
        for token in self.tokens:
            if token.type not in NO_CODE:
                found.update(range(token.start[0], token.end[0] + 1))
        return found - self.docstring_lines

    @cached_property
    def words(self) -> str:
        """Names and strings of the code, without comments and docstrings."""
        kept = []
        for token in self.tokens:
            if token.type not in NO_CODE and token.start[0] not in self.docstring_lines:
                kept.append(token.string)
        return " ".join(kept)

    def at(self, node: ast.AST) -> str:
        """`file:line` of a node."""
        return f"{self.name}:{node.lineno}"  # type: ignore[attr-defined]

    def functions(self) -> Iterator[Definition]:
        """All functions and methods, nested ones too."""
        for node in ast.walk(self.tree):
            if isinstance(node, Definition):
                yield node

    def classes(self) -> Iterator[ast.ClassDef]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ClassDef):
                yield node


def docstring_lines_of(node: ast.AST) -> set[int]:
    """Numbers of the lines of the docstring that belongs to `node` itself."""
    if not isinstance(node, ast.Module | ast.ClassDef | Definition):
        return set()
    if ast.get_docstring(node, clean=False) is None:
        return set()
    text = node.body[0]
    return set(range(text.lineno, (text.end_lineno or text.lineno) + 1))


def read(*folders: str, root: Path = ROOT) -> list[Source]:
    """All Python files below `folders`, which are relative to `root`."""
    paths = [path for folder in folders for path in sorted((root / folder).rglob("*.py"))]
    return [Source(str(path.relative_to(root)), path.read_text()) for path in paths]
