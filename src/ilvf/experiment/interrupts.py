"""Blocks that SIGINT and SIGTERM do not interrupt, or that leave their handlers as they were."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
PATIENCE = 2  # signals that wait for the end of a block; one more interrupts it


@contextlib.contextmanager
def handlers_kept() -> Iterator[None]:
    """Restore the handlers of SIGINT and SIGTERM after the block.

    Lightning ignores SIGINT from an interrupt before the training on. In threads other than the
    main thread, which cannot set handlers, nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # None: it was not set by Python
                signal.signal(number, handler)


@contextlib.contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt inside the block, as Ctrl-C does."""
    with handlers_kept():
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        yield


@contextlib.contextmanager
def signals_held(patience: float = PATIENCE) -> Iterator[None]:
    """Deliver SIGINT and SIGTERM after the block instead of inside it.

    Only the main thread receives signals. In other threads nothing is done.

    Args:
        patience: signals that are held. One more raises KeyboardInterrupt inside the block.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []

    def hold(number: int, frame: Any) -> None:
        held.append(number)
        if len(held) > patience:
            raise KeyboardInterrupt

    try:
        with handlers_kept():
            for number in SIGNALS:
                signal.signal(number, hold)
            yield
    finally:
        for late in held:
            signal.raise_signal(late)
