"""A quick start: what a command does while it imports libraries and sets up a run."""

import contextlib
import gc
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

SIGNAL = "scipy.signal"


@contextlib.contextmanager
def starting() -> Iterator[None]:
    """Import libraries in the block without searches for garbage, and without `scipy.signal`.

    Imports make a million objects and hardly any garbage, and Python searches them again and again.
    Garbage of the block is found by later searches. A block within another changes nothing.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        with signal_later():
            yield
    finally:
        if not gc.get_freeze_count():
            gc.freeze()
            gc.unfreeze()  # all objects count as old, and the next small search skips them
        gc.enable()


class Later(ModuleType):
    """Stands in for `scipy.signal` until one of its attributes is used.

    torchmetrics, which Lightning needs, imports it for no more than `hamming`: it adds that name
    where it is missing.
    """

    hamming = None

    def __getattr__(self, name: str) -> Any:
        if name == "__file__":  # `inspect` asks all modules for it, and takes none for an answer
            raise AttributeError(name)
        if sys.modules.get(SIGNAL) is self:
            del sys.modules[SIGNAL]
        return getattr(importlib.import_module(SIGNAL), name)


@contextlib.contextmanager
def signal_later() -> Iterator[None]:
    """Import `scipy.signal` in the block only if an attribute of it is used."""
    if SIGNAL in sys.modules:
        yield
        return
    later = Later(SIGNAL)
    sys.modules[SIGNAL] = later
    try:
        yield
    finally:
        if sys.modules.get(SIGNAL) is later:
            del sys.modules[SIGNAL]
