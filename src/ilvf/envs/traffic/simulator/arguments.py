"""SUMO's command line, and the files and words that users give for it."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ilvf.errors import UsageError, require


def command_line(
    net: Path,
    routes: Sequence[Path],
    additional: Sequence[Path],
    teleport: float,
    more: Sequence[str],
) -> list[str]:
    """SUMO's command line without the seed.

    Its tripinfo device keeps records of finished trips, in memory.

    Args:
        net: the network.
        routes: files of vehicles, flows and routes.
        additional: other files.
        teleport: [s] after which SUMO takes a vehicle out of a jam; -1 for never.
        more: further words.
    """
    line = ["-n", str(net.resolve()), "-r", ",".join(map(str, routes))]
    if additional:
        line += ["-a", ",".join(map(str, additional))]
    line += ["--time-to-teleport", f"{teleport:g}", "--device.tripinfo.probability", "1"]
    return [*line, "--no-warnings", "--no-step-log", *map(str, more)]


def split_words(line: str) -> list[str]:
    """The words of a command line, quoted as in a shell."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise UsageError(f"options={line!r} cannot be read: {error}") from None
