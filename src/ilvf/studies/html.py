"""A page of markdown as one HTML file that needs nothing else: pictures and style are inside."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import jinja2
import markdown
from markdown.treeprocessors import Treeprocessor
from markupsafe import Markup

TEMPLATE = "report.html"
TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


def html_of(parts: Sequence[str], title: str, folder: Path) -> str:
    """The page as HTML; tags in its text are shown as text.

    Args:
        parts: of the page, in markdown.
        title: of the window.
        folder: of the pictures.

    Raises:
        OSError: a picture cannot be read.
    """
    reader = markdown.Markdown(extensions=["tables", "toc", "sane_lists"])
    reader.preprocessors.deregister("html_block")
    reader.inlinePatterns.deregister("html")
    reader.treeprocessors.register(Embedded(folder), "embedded", 0)
    body = reader.convert("\n\n".join(parts))
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    template = jinja2.Environment(loader=loader, autoescape=True).get_template(TEMPLATE)
    toc: Any = reader.toc  # type: ignore[attr-defined]
    return template.render(title=title, contents=Markup(toc), body=Markup(body))


class Embedded(Treeprocessor):
    """Puts pictures into the page, as vectors where there are some; wide tables can be scrolled."""

    def __init__(self, folder: Path):
        super().__init__()
        self.folder = folder

    def run(self, root: Element) -> None:
        """Change the page's tree."""
        for image in root.iter("img"):
            address = data_of(self.folder / image.get("src", ""))
            if address is not None:
                image.set("src", address)
        for parent in list(root.iter()):
            for place, child in enumerate(list(parent)):
                if child.tag == "table":
                    frame = Element("div", {"class": "wide"})
                    frame.append(child)
                    parent[place] = frame


def data_of(picture: Path) -> str | None:
    """A picture as an address with its content; of its vectors if they are beside it.

    None for a file that is no picture of the report, which `about` of a study can name.
    """
    vectors = picture.with_suffix(".svg") if picture.name else picture
    path = vectors if vectors.is_file() else picture
    if path.suffix not in TYPES or not path.is_file():
        return None
    content = base64.b64encode(path.read_bytes()).decode()
    return f"data:{TYPES[path.suffix]};base64,{content}"
