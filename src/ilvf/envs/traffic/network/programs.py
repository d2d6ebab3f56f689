"""Signal programs in SUMO's additional files."""

import gzip
import xml.sax
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl

from ilvf.envs.traffic.simulator.paths import named, readable_file
from ilvf.errors import UsageError, require

Programs = dict[str, tuple[str, ...]]  # signal → the states of its program

GZIP = b"\x1f\x8b"  # a compressed file begins with it
DEPTH = 16  # files that include each other


def read_programs(files: Iterable[str | Path]) -> Programs:
    """The program of every signal that additional files have one for.

    SUMO shows the last program that it loads: those of additional files replace those of the net
    file, and of several the last one counts.

    Args:
        files: additional files, in the order in which SUMO gets them.

    Raises:
        UsageError: a file cannot be read or is not XML.
    """
    found: Programs = {}
    for file in files:
        found.update(programs_of(Path(file)))
    return found


def programs_of(path: Path, depth: int = 0) -> Programs:
    """The programs of one file and of the files that it includes."""
    readable_file("there is no file", path)
    require(depth < DEPTH, f"{named(path)} includes itself; remove an element <include>")
    reader = ProgramReader(path, depth)
    try:
        with open_text(path) as file:
            xml.sax.parse(file, reader)
    except (xml.sax.SAXException, OSError, EOFError, ValueError) as error:
        reason = " ".join(str(error).split())
        if isinstance(error, xml.sax.SAXParseException):
            reason = f"line {error.getLineNumber()} has an error, {error.getMessage()}"
        raise UsageError(f"{named(path)} is not XML: {reason}") from None
    return reader.programs


def open_text(path: Path) -> IO[bytes]:
    """A file's bytes, decompressed."""
    with path.open("rb") as file:
        compressed = file.read(len(GZIP)) == GZIP
    return gzip.open(path) if compressed else path.open("rb")  # type: ignore[return-value]


class ProgramReader(ContentHandler):
    """Collects `<tlLogic>` elements, and follows `<include>` elements.

    Args:
        path: the file, to which included files are relative.
        depth: number of files above it that include it.

    Attributes:
        programs: signal → the states of its last program. A `<tlLogic>` without phases only sets
            parameters of another program.
    """

    def __init__(self, path: Path, depth: int):
        super().__init__()
        self.path = path
        self.depth = depth
        self.programs: Programs = {}
        self._states: list[str] = []

    def startElement(self, name: str, attrs: AttributesImpl) -> None:
        if name == "tlLogic":
            self._signal = attrs.get("id", "")
            self._states = []
        elif name == "phase":
            self._states.append(attrs.get("state", ""))
        elif name == "include" and attrs.get("href"):
            included = self.path.parent / attrs["href"]
            self.programs.update(programs_of(included, self.depth + 1))

    def endElement(self, name: str) -> None:
        if name == "tlLogic" and self._states:
            self.programs[self._signal] = tuple(self._states)


def require_same_programs(known: Mapping[str, tuple[str, ...]], files: Iterable[Path]) -> None:
    """Raise unless additional files have the programs that a network was read with.

    Args:
        known: signal → the states of its program.
        files: additional files.
    """
    found = read_programs(files)
    other = sorted(signal for signal in {*found, *known} if found.get(signal) != known.get(signal))
    require(
        not other,
        f"the additional files have a program of signal {', '.join(other[:5])} with which the "
        "network was not read, or lack it; use read_network(NET, additional=FILES)",
    )
