"""SUMO's programs and its reader of networks, and the folder for generated files."""

import functools
import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from types import ModuleType

from ilvf.envs.traffic.simulator.paths import absolute, named, require_plain_name
from ilvf.errors import UsageError, require

INSTALL = "pip install 'ilvf[sumo]'"


# ---------------------------------------------------------------------- programs
def load_sumolib() -> ModuleType:
    """sumolib, SUMO's reader of networks.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import sumolib
    except ImportError:
        raise UsageError(
            f"reading a road network needs sumolib, which is not installed: {INSTALL}"
        ) from None
    return sumolib


def find_program(name: str) -> str:
    """The path of a SUMO program, such as `netconvert`.

    pip's SUMO comes before the system's, because the simulator is pip's and has the same version.
    """
    homes = [str(home) for home in (pip_home(), os.environ.get("SUMO_HOME")) if home]
    folders = [*(os.path.join(home, "bin") for home in homes), os.environ.get("PATH", "")]
    found = shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        raise UsageError(f"SUMO's program {name} is not installed: {INSTALL}")
    return found


def pip_home() -> Path | None:
    """The folder of SUMO's programs as installed by pip; None without them."""
    spec = importlib.util.find_spec("sumo")
    if spec is None:
        return None
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    return next((folder for folder in folders if (folder / "bin").is_dir()), None)


def run_program(name: str, *arguments: str | Path, folder: Path | None = None) -> str:
    """Run a SUMO program and return what it prints.

    Args:
        name: of the program.
        *arguments: its command line.
        folder: where it runs; None for the working folder. SUMO does not see its path, which may
            have characters that SUMO's command line cannot have.

    Raises:
        UsageError: the program failed; the message quotes its first error.
    """
    environment = dict(os.environ)
    home = pip_home()
    if home is not None:  # without these variables the programs warn on every start
        environment["SUMO_HOME"] = str(home)
        environment.setdefault("PROJ_DATA", str(home / "data" / "proj"))
    command = [find_program(name), *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False, cwd=folder
    )
    if done.returncode:
        lines = (done.stderr or done.stdout or "nothing").splitlines()
        error = next((line for line in lines if line.startswith("Error")), lines[-1])
        raise UsageError(f"{name} ended with code {done.returncode} and said: {error.strip()}")
    return done.stdout


@functools.cache
def program_version(name: str) -> str:
    """The version of a program. Another version may make another file from the same input."""
    if pip_home() is not None:
        return metadata.version("eclipse-sumo")
    return run_program(name, "--version").splitlines()[0]


# ---------------------------------------------------------------------- generated files
def cache_folder() -> Path:
    """The folder for generated and downloaded files: `ILVF_CACHE`, or `~/.cache/ilvf`.

    Raises:
        UsageError: the user has no home, or SUMO's command line cannot have the folder's files.
    """
    try:
        folder = Path(os.environ.get("ILVF_CACHE") or Path.home() / ".cache" / "ilvf")
    except RuntimeError:
        raise UsageError(
            "there is no home folder for the files that are made; ILVF_CACHE=FOLDER names one"
        ) from None
    folder = absolute("ILVF_CACHE: there can be no folder", folder)
    require_plain_name(folder / "files", "ILVF_CACHE=FOLDER names another")
    return folder


def generated(
    root: str | Path | None,
    name: str,
    content: str,
    files: Sequence[str],
    build: Callable[[Path], None],
) -> tuple[Path, ...]:
    """Generated files; they are built unless they exist.

    The files appear together and complete, so several processes may ask at the same time.

    Args:
        root: the folder above that of the files; None for `cache_folder()`.
        name: beginning of the folder's name.
        content: everything that the files are made from; its hash ends the folder's name.
        files: names of the files.
        build: makes the files in the folder that it is called with.

    Raises:
        UsageError: the folder cannot be written.
    """
    root = Path(root) if root is not None else cache_folder()
    folder = root / f"{name}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"
    paths = tuple(folder / file for file in files)
    if not all_exist(paths):
        try:
            root.mkdir(parents=True, exist_ok=True)
            build_aside(root, paths, build)
        except OSError as error:
            raise UsageError(
                f"cannot write into {named(root)} ({error.strerror or error}); "
                "ILVF_CACHE=FOLDER names another"
            ) from None
    return paths


def build_aside(root: Path, paths: Sequence[Path], build: Callable[[Path], None]) -> None:
    """Build files in a temporary folder, and rename it to the folder of `paths`."""
    folder = paths[0].parent
    with tempfile.TemporaryDirectory(
        dir=root, prefix=".new-", ignore_cleanup_errors=True
    ) as workshop:
        new = Path(workshop, "new")
        new.mkdir()
        build(new)
        if not all_exist([new / path.name for path in paths]):
            raise UsageError(f"{', '.join(path.name for path in paths)} could not be made")
        if folder.exists() and not all_exist(paths):  # somebody deleted some of the files
            with suppress(OSError):
                folder.rename(Path(workshop, "damaged"))
        try:
            new.rename(folder)
        except OSError:  # another process was first
            require(all_exist(paths), f"{folder} is in the way: delete it")


def all_exist(paths: Sequence[Path]) -> bool:
    """Whether all paths are files."""
    return all(path.is_file() for path in paths)
