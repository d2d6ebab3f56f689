"""Text that reports have in common."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table in markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def escaped(text: str) -> str:
    """Text without a meaning in markdown, in a table's cell too."""
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", text).replace("&", "&amp;").replace("<", "&lt;")


def code(text: str) -> str:
    """Text as code, in a table's cell too."""
    ticks = "``" if "`" in text else "`"
    pad = " " if "`" in text else ""
    return f"{ticks}{pad}{text}{pad}{ticks}".replace("|", "\\|")


def setting_text(setting: Mapping[str, Any]) -> str:
    """`name=encircle, n_agents=4` of the options of an environment."""
    return ", ".join(f"{name}={value}" for name, value in setting.items())


def task_name(setting: Mapping[str, Any]) -> str:
    """The environment's name, or its task if it has several."""
    return str(setting.get("task") or setting["name"])


def write_page(path: Path, parts: Iterable[str]) -> None:
    """Write the parts of a page with blank lines between them."""
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
