"""Public names that are imported when they are first used."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def lazily(package: str, public: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """A package's `__getattr__` (PEP 562).

    Args:
        package: name of the package, for the error message.
        public: module below `package` → the names that it provides.
    """
    homes = {name: module for module, names in public.items() for name in names}

    def __getattr__(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    return __getattr__


def names_of(public: Mapping[str, Sequence[str]]) -> list[str]:
    """All names in `public`, in its order."""
    return [name for names in public.values() for name in names]
