"""SUMO's command line, and the files and words that users give for it."""

import functools
import gzip
import shlex
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ilvf.envs.traffic.simulator.paths import as_list
from ilvf.errors import UsageError

ADDITIONAL = ("-a", "--additional", "--additional-files")
ADDITIONAL_ELEMENTS = ("additional-files", "additional", "a")
CONFIGURATION = ("-c", "--configuration", "--configuration-file")
TELEPORT = ("time-to-teleport",)


def command_line(
    net: Path,
    routes: Sequence[Path],
    additional: Sequence[Path],
    teleport: float,
    more: Sequence[str],
    *,
    lane_noise: bool = False,
) -> list[str]:
    """SUMO's command line without the seed.

    Its tripinfo device keeps records of finished trips, in memory.

    Args:
        net: the network, an absolute path like those of the other files.
        routes: files of vehicles, flows and routes.
        additional: other files.
        teleport: [s] after which SUMO takes a vehicle out of a jam; -1 for never.
        more: further words.
        lane_noise: every lane has a random generator of its own; otherwise 64 are shared.
    """
    line = ["-n", str(net), "-r", ",".join(map(str, routes))]
    if additional:
        line += ["-a", ",".join(map(str, additional))]
    line += ["--time-to-teleport", f"{teleport:g}", "--device.tripinfo.probability", "1"]
    if lane_noise:
        line += ["--thread-rngs", str(lanes_in(net))]
    return [*line, "--no-warnings", "--no-step-log", *map(str, more)]


@functools.lru_cache  # every copy of an environment asks
def lanes_in(net: Path) -> int:
    """The number of lanes in a net file, those within junctions included."""
    reader = gzip.open if net.suffix == ".gz" else open
    with reader(net, "rt", encoding="utf-8", errors="replace") as file:
        return sum(line.count("<lane ") for line in file)


def split_words(line: str) -> list[str]:
    """The words of a command line, quoted as in a shell."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise UsageError(f"options={line!r} cannot be read: {error}") from None


def words_of(options: Any) -> list[str]:
    """More of SUMO's command line: text is split like a shell's, a list has one word per item."""
    if isinstance(options, str):
        return split_words(options)
    return [str(word) for word in as_list("options", options)]


def additional_in(words: Sequence[str]) -> list[str]:
    """The additional files that words of SUMO's command line name, or the configuration in them."""
    given = value_of(ADDITIONAL, words)
    if given is not None:
        return [file.strip() for file in given.split(",")]
    configuration = value_of(CONFIGURATION, words)
    return additional_of(Path(configuration)) if configuration else []


def value_of(names: Sequence[str], words: Sequence[str]) -> str | None:
    """The value of an option in words of a command line; None without it."""
    for k, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in names:
            return value if equals else "".join(words[k + 1 : k + 2])
    return None


def additional_of(configuration: Path) -> list[str]:
    """The additional files that a configuration of SUMO names, relative to its folder."""
    given = setting_in(configuration, ADDITIONAL_ELEMENTS)
    if given is None:
        return []
    return [str(configuration.parent / file.strip()) for file in given.split(",")]


def setting_in(configuration: Path, names: Sequence[str]) -> str | None:
    """The value of an option in a configuration of SUMO; None without it.

    SUMO itself reports a configuration that cannot be read.
    """
    try:
        root = ElementTree.parse(configuration)
    except (OSError, ElementTree.ParseError):
        return None
    for name in names:
        for element in root.iter(name):
            return element.get("value") or element.get("v") or ""
    return None


def warn_of_teleport(words: Sequence[str], teleport: float) -> None:
    """Warn if the configuration in words has another time to teleport [s] than the one that counts.

    SUMO's command line, which has `teleport`, goes before its configuration.
    """
    configuration = value_of(CONFIGURATION, words)
    given = setting_in(Path(configuration), TELEPORT) if configuration else None
    if given is not None and given.strip() != f"{teleport:g}":
        warnings.warn(
            f"{configuration} sets time-to-teleport={given}, and teleport={teleport:g} of the "
            "environment counts instead; env.teleport=SECONDS changes it",
            stacklevel=4,
        )
