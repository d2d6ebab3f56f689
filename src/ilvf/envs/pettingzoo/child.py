"""The child process of a worker: it steps copies and answers the parent's messages.

Imports no torch.
"""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import random
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from ilvf.envs.pettingzoo.copies import SEED_STRIDE, Copies
from ilvf.envs.pettingzoo.faults import in_words
from ilvf.errors import UsageError


def serve(
    pipe: Connection, make: Callable[[], Any], first: int, last: int, options: dict[str, Any]
) -> None:
    """Make the copies and answer messages until the parent closes the pipe.

    The first answer is the layout. Every message is (method of `Copies`, its arguments). Every
    answer is ("done", result), ("refused", the sentence of a `UsageError`) or ("failed", the type
    and first line of another exception); the last two end the process.

    Args:
        pipe: this process' end.
        make: makes one environment.
        first: number of the first copy.
        last: number of the last copy plus 1.
        options: of `Copies`.
    """
    leave_signals_to_the_parent()
    exit_with_the_parent()
    # Environments that use torch share the cores with those of other workers.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    seed = options.pop("seed", 0) + SEED_STRIDE * first
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 (environments may use the global generator)
    with contextlib.ExitStack() as stack:
        try:
            copies = Copies(make, last - first, seed=seed, first=first, **options)
            stack.callback(_close, copies)
            pipe.send(("done", copies.layout))
            for method, *arguments in _messages(pipe):
                pipe.send(("done", getattr(copies, method)(*arguments)))
        except UsageError as error:
            pipe.send(("refused", str(error)))
        except Exception as error:  # for example a layout that cannot be pickled
            traceback.print_exc()
            pipe.send(("failed", in_words(error)))


def _close(copies: Copies) -> None:
    """Close what is still open when the parent has gone or does not listen."""
    with contextlib.suppress(UsageError):
        copies.close()


def _messages(pipe: Connection) -> Iterator[tuple[Any, ...]]:
    """The parent's messages, until it closes the pipe."""
    while True:
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            return
        yield message


def leave_signals_to_the_parent() -> None:
    """Ignore Ctrl-C and SIGTERM, so that the parent can finish its iteration.

    Handlers are set instead of SIG_IGN, because simulators that are started here would inherit
    SIG_IGN.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)


def exit_with_the_parent() -> None:
    """Start a thread that ends this process when the parent dies."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        assert parent is not None
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
