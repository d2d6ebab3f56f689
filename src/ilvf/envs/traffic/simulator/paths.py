"""Files and folders that SUMO reads and writes, checked before it starts."""

import re
from pathlib import Path
from typing import Any

from ilvf.errors import UsageError, require

# SUMO splits lists of files at commas and replaces ${NAME} by the environment variable NAME.
REFUSED = re.compile(r",|\$\{.*\}|\s$", re.DOTALL)
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
        UsageError: `given` is no path or list of paths, or SUMO could not read one of the files;
            `name` is the option that has it.
    """
    files = as_list(name, given)
    require(all(str(file) for file in files), f"{name} has an empty path; name a file")
    return [existing_file(f"{name}: there is no file", file) for file in files]


def existing_file(missing: str, given: str | Path) -> Path:
    """The absolute path of a file that SUMO can read.

    Args:
        missing: begins the message if the file does not exist.
        given: its path.

    Raises:
        UsageError: the file does not exist, is no plain file, cannot be read, or has a name that
            SUMO takes for something else.
    """
    file = absolute(missing, given)
    require(not file.is_dir(), f"{named(file)} is a folder; name a file in it")
    require(not file.exists() or file.is_file(), f"{named(file)} is no plain file; name one")
    require(file.is_file(), f"{missing} {named(file)}")
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        raise UsageError(f"{named(file)} cannot be read ({error.strerror}); change its mode") from None
    require_plain_name(file)
    return file


def existing_folder(name: str, path: str | None) -> Path | None:
    """The absolute path of a folder, which is made unless it exists.

    Raises:
        UsageError: it cannot be made, or SUMO cannot write there; `name` is the option that has it.
    """
    if path is None:
        return None
    require(bool(path), f"{name} has an empty path; name a folder")
    folder = absolute(f"{name}: there can be no folder", path)
    # SUMO takes NAME:NUMBER for the address of a computer that it writes to.
    require_plain_name(folder / "tripinfo.xml")
    require(":" not in str(folder), f"{named(folder)} has ':', which SUMO takes for a port; rename it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{name}={named(path)}: the folder cannot be made ({error.strerror})") from None
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
        raise UsageError(f"{named(path)} has {taken[0]!r}, which SUMO takes for {meaning}; {advice}")
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
