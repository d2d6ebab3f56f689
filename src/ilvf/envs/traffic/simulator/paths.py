"""Files and folders that SUMO reads and writes, checked before it starts."""

import functools
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ilvf.errors import UsageError, require

# SUMO splits lists of files at commas and replaces ${NAME} by the environment variable NAME.
REFUSED = re.compile(r",|\$\{.*\}|\s$", re.DOTALL)
VEHICLES = re.compile(rb"<(?:vehicle|trip|flow|include)\b")
NOT_A_NUMBER = re.compile(
    rb"\w*(?:speed|speedFactor|speedDev|pos|accel|decel|length|gap|tau|sigma|impatience)"
    rb"""\s*=\s*["']\s*[+-]?nan\s*["']""",
    re.IGNORECASE,
)
MEANINGS = {",": "the end of a name", "$": "a variable"}


def as_list(name: str, given: Any) -> list[str | Path]:
    """Text, a path, a list of them or None, as a list."""
    if given is None:
        return []
    if isinstance(given, str | Path):
        return [given]
    fits = isinstance(given, list | tuple) and all(isinstance(word, str | Path) for word in given)
    require(fits, f"{name}={given!r} must be text, or a list of it")
    return list(given)


def existing_files(name: str, given: Any) -> list[Path]:
    """One file or several as absolute paths.

    Raises:
        UsageError: `given` is no path or list of paths, or SUMO cannot read one of the files;
            `name` is the option that has it.
    """
    found = []
    for file in as_list(name, given):
        require(bool(str(file)), f"{name} has an empty path; name a file")
        path = absolute(f"{name}: there is no file", file)
        require_plain_name(path, "rename it, or give several files as a list, [A, B]")
        found.append(readable_file("there is no file", path))
    return found


def readable_file(missing: str, path: Path, advice: str = "") -> Path:
    """A path, if it is that of a file that can be read.

    Args:
        missing: begins the message if there is nothing.
        path: the path.
        advice: ends that message.

    Raises:
        UsageError: there is no such file, it is a folder or a device, or it cannot be read.
    """
    try:
        mode = path.stat().st_mode
        require(not stat.S_ISDIR(mode), f"{named(path)} is a folder; name a file in it")
        require(stat.S_ISREG(mode), f"{named(path)} is no plain file; name one")
        with path.open("rb"):
            return path
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{missing} {named(path)}{advice}") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{named(path)} cannot be read: {reason}; name another file") from None


def require_numbers(files: Iterable[Path]) -> None:
    """Raise if files of vehicles have `nan` as a number; SUMO takes it, and the vehicles stand.

    Files are not read as XML here, which would take long. Compressed files are left to SUMO.
    """
    for path in files:
        found = find_nan(path, path.stat().st_mtime_ns)
        require(not found, f"{named(path)}: {found}; correct that number")


def has_vehicles(path: Path) -> bool:
    """Whether a file may define vehicles. Compressed files are left to SUMO."""
    if path.suffix == ".gz":
        return True
    with path.open("rb") as file:
        return any(VEHICLES.search(line) for line in file)


@functools.lru_cache  # every copy of an environment asks
def find_nan(path: Path, changed: int) -> str:
    """Where a file has `nan` as a number, in words; "" if nowhere.

    Args:
        path: the file.
        changed: when it was changed.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if b"nan" not in line.lower():  # the search below is slow
                continue
            found = NOT_A_NUMBER.search(line)
            if found:
                return f"line {number} has {found[0].decode()}"
    return ""


def existing_folder(name: str, path: str | None) -> Path | None:
    """The absolute path of a folder, which is made unless it exists.

    Raises:
        UsageError: it cannot be made, or SUMO cannot write there; `name` is the option that has it.
    """
    if path is None:
        return None
    require(bool(path), f"{name} has an empty path; name a folder")
    folder = absolute(f"{name}: there can be no folder", path)
    require_plain_name(folder / "trips")
    # SUMO sends what it writes to HOST:PORT over the network.
    require(
        ":" not in str(folder), f"{named(folder)} has ':', which SUMO takes for a port; rename it"
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror
        raise UsageError(f"{name}={named(path)}: the folder cannot be made ({reason})") from None
    return folder


def absolute(problem: str, given: str | Path) -> Path:
    """An absolute path; `problem` begins the message if there is none."""
    try:
        return Path(given).resolve()
    except (OSError, ValueError, RuntimeError) as error:  # no working folder, a zero byte, a loop
        raise UsageError(f"{problem} {str(given)!r} ({error}); name another") from None


def require_plain_name(path: Path, advice: str = "rename it") -> None:
    """Raise if SUMO's command line cannot have a path.

    Args:
        path: the path.
        advice: what to do, for the message.
    """
    text = str(path)
    taken = REFUSED.search(text)
    if taken:
        meaning = MEANINGS.get(taken[0][0], "no part of a name")
        raise UsageError(
            f"{named(path)} has {taken[0]!r}, which SUMO takes for {meaning}; {advice}"
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        byte = ascii(text[error.start])
        raise UsageError(
            f"{named(path)} has {byte}, which is not UTF-8, as SUMO's names are; {advice}"
        ) from None


def named(path: str | Path) -> str:
    """A path in a message: as it is, or quoted if it has line breaks or the like."""
    text = str(path)
    return text if text.isprintable() and text.strip() == text else repr(text)
