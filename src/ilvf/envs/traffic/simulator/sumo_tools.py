"""SUMO's programs and its reader of networks, found or asked for, and the folder that generated files are kept in."""

import functools
import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from types import ModuleType

from ilvf.errors import UsageError, require

INSTALL = "pip install 'ilvf[sumo]'"


def load_sumolib() -> ModuleType:
    """SUMO's reader of networks."""
    try:
        import sumolib
    except ImportError:
        raise UsageError(
            f"reading a road network needs sumolib, which is not installed: {INSTALL}"
        ) from None
    return sumolib


def find_program(name: str) -> str:
    """The path of `netconvert` or `netgenerate`: pip's before the system's, for it is the simulator's own version."""
    homes = [str(home) for home in (_pip_home(), os.environ.get("SUMO_HOME")) if home]
    places = [*(os.path.join(home, "bin") for home in homes), os.environ.get("PATH", "")]
    found = shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        raise UsageError(f"SUMO's program {name} is not installed: {INSTALL}")
    return found


def _pip_home() -> Path | None:
    spec = importlib.util.find_spec("sumo")
    places = [Path(place) for place in (spec and spec.submodule_search_locations) or ()]
    return next((place for place in places if (place / "bin").is_dir()), None)


def run_program(name: str, *arguments: str | Path) -> str:
    """What one of SUMO's programs prints; what it complains about becomes the sentence of a `UsageError`."""
    environment = dict(os.environ)
    if (home := _pip_home()) is not None:  # without these it warns on every start
        environment["SUMO_HOME"] = str(home)
        environment.setdefault("PROJ_DATA", str(home / "data" / "proj"))
    command = [find_program(name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout or "nothing").splitlines()
        said = next((line for line in lines if line.startswith("Error")), lines[-1])
        raise UsageError(f"{name} ended with code {done.returncode} and said: {said.strip()}")
    return done.stdout


@functools.cache
def program_version(name: str) -> str:
    """Another version may make another file of the same input."""
    if _pip_home() is not None:
        return metadata.version("eclipse-sumo")
    return run_program(name, "--version").splitlines()[0]


def cache_folder() -> Path:
    """Where generated and downloaded files are kept: `ILVF_CACHE`, or `~/.cache/ilvf`."""
    return Path(os.environ.get("ILVF_CACHE") or Path.home() / ".cache" / "ilvf")


def generated(
    root: str | Path | None,
    name: str,
    content: str,
    files: tuple[str, ...],
    build: Callable[[Path], None],
) -> tuple[Path, ...]:
    """`files` in a folder that is called after `name` and the hash of `content`, all that they are made from.

    `build(folder)` is called if they are not there yet. They appear together and complete, so that any number of
    processes may ask at the same time.
    """
    root = Path(root) if root is not None else cache_folder()
    folder = root / f"{name}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"
    found = tuple(folder / file for file in files)
    if not all(f.is_file() for f in found):
        try:
            root.mkdir(parents=True, exist_ok=True)
            _build_aside(root, folder, found, build)
        except OSError as error:
            raise UsageError(
                f"cannot write into {root} ({error.strerror}); ILVF_CACHE=FOLDER names another"
            ) from None
    return found


def _build_aside(
    root: Path, folder: Path, found: tuple[Path, ...], build: Callable[[Path], None]
) -> None:
    with tempfile.TemporaryDirectory(
        dir=root, prefix=".new-", ignore_cleanup_errors=True
    ) as workshop:
        new = Path(workshop, "new")
        new.mkdir()
        build(new)
        if not all((new / f.name).is_file() for f in found):
            raise UsageError(f"{', '.join(f.name for f in found)} could not be made")
        if folder.exists() and not all(f.is_file() for f in found):  # somebody deleted a part of it
            with suppress(OSError):
                folder.rename(Path(workshop, "damaged"))
        try:
            new.rename(folder)
        except OSError:  # another process was first
            require(all(f.is_file() for f in found), f"{folder} is in the way: delete it")
