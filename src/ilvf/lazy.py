"""Public names that are imported when they are first used."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def lazily(package: str, public: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """A package's `__getattr__` (PEP 562).

    Args:
        package: name of the package, for the error message.
        public: module → the names that it provides; a module is named from the top (`ilvf. ...`)
            or below `package`.
    """
    homes = {name: module for module, names in public.items() for name in names}

    def __getattr__(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = homes[name]
        module = home if home.startswith("ilvf.") else f"{package}.{home}"
        return getattr(importlib.import_module(module), name)

    return __getattr__


def listing(names: Sequence[str]) -> Callable[[], list[str]]:
    """A package's `__dir__`: its public names, imported or not."""
    return lambda: list(names)


def names_of(public: Mapping[str, Sequence[str]]) -> list[str]:
    """All names in `public`, in its order."""
    return [name for names in public.values() for name in names]
