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


def existing_files(name: str, given: Any) -> list[Path]:
    """One file or several as absolute paths.

    Raises:
        UsageError: `given` is no path or list of paths, or a file does not exist; `name` is the
            option that has it.
    """
    files = [Path(file).resolve() for file in as_list(name, given)]
    for file in files:
        require(file.is_file(), f"there is no file {file}")
    return files


def as_list(name: str, given: Any) -> list[str | Path]:
    """Text, a path, a list of them or None, as a list."""
    if given is None:
        return []
    if isinstance(given, str | Path):
        return [given]
    fits = isinstance(given, list | tuple) and all(isinstance(word, str | Path) for word in given)
    require(fits, f"{name}={given!r} must be text, or a list of it")
    return list(given)


def split_words(line: str) -> list[str]:
    """The words of a command line, quoted as in a shell."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise UsageError(f"options={line!r} cannot be read: {error}") from None


def existing_folder(name: str, path: str | None) -> Path | None:
    """The absolute path of a folder, which is made unless it exists.

    Raises:
        UsageError: it cannot be made; `name` is the option that has it.
    """
    if path is None:
        return None
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{name}={path}: the folder cannot be made ({error.strerror})") from error
    return Path(path).resolve()
