"""Environments, algorithms and influence sources of other packages: entry points and references.

A package registers by an entry point of its `pyproject.toml`; a user names `package.module:name` on
the command line. Only these two import code. A file (a checkpoint, a preset, a study) never does:
what it names must be registered, or given again by the user. Importing this module imports nothing.
"""

import functools
import importlib
import os
import re
import sys
from importlib.metadata import entry_points
from typing import Any

from ilvf.errors import UsageError, require

ENVIRONMENTS = "ilvf.environments"  # groups of entry points
ALGORITHMS = "ilvf.algorithms"
INFLUENCE = "ilvf.influence"
MODULES = "ILVF_PLUGINS"  # environment variable: modules that declare algorithms, comma-separated
REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
FORM = "write package.module:name"


def registered(group: str) -> dict[str, str]:
    """Name → `package.module:name` of the entry points of installed packages."""
    return dict(_registered_on(tuple(sys.path), group))


@functools.cache
def _registered_on(path: tuple[str, ...], group: str) -> dict[str, str]:
    """The entry points of a group on a search path; reading those of all packages takes long."""
    return {found.name: found.value for found in entry_points(group=group)}


def is_reference(value: object) -> bool:
    """Is this `package.module:name`?"""
    return isinstance(value, str) and REFERENCE.fullmatch(value) is not None


def reference_of(word: str, group: str) -> str:
    """The reference that a word means: itself, or that of the entry point with this name."""
    return registered(group).get(word, word)


def load(reference: str, key: str) -> Any:
    """What `package.module:name` names.

    Args:
        reference: a reference from the command line, or of an entry point.
        key: of the argument, for the message.

    Raises:
        UsageError: it is no reference, is of Python itself, cannot be imported, or is not there.
    """
    require(is_reference(reference), f"{key}={reference!r:.100} is no reference; {FORM}")
    module, _, name = reference.partition(":")
    package = module.partition(".")[0]
    require(
        package not in sys.stdlib_module_names,
        f"{key}={reference} is of Python's own module {package}; {FORM}",
    )
    found = imported(module, f"{key}={reference}")
    require(hasattr(found, name), f"{key}={reference}: {module} has no {name}; {FORM}")
    return getattr(found, name)


def import_modules() -> None:
    """Import the modules that the user's environment variable names.

    Raises:
        UsageError: one cannot be imported.
    """
    for module in os.environ.get(MODULES, "").split(","):
        if module.strip():
            imported(module.strip(), f"the environment variable {MODULES}={os.environ[MODULES]}")


def imported(module: str, cause: str) -> Any:
    """A module; what it raises ends in one sentence.

    Args:
        cause: what names it, for the message.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{cause}: there is no module {error.name}; install its package, or set PYTHONPATH"
        ) from error
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # modules raise anything while they are imported
        raise UsageError(f"{cause}: {module} cannot be imported: {in_words(error)}") from error


def in_words(error: BaseException) -> str:
    """The class of an exception and the first line of its text."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]:.200}"
