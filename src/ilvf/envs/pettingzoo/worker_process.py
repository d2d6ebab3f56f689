"""The process of one worker, seen by its parent: its start, its pipe and its end."""

import multiprocessing
import pickle
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from ilvf.envs.pettingzoo.child import serve
from ilvf.errors import UsageError

# A forked process would inherit torch's threads and the other workers' pipes.
CONTEXT = multiprocessing.get_context("spawn")
CLOSING_TIME = 5.0  # [s] that environments have to close before their process is killed


@dataclass(frozen=True)
class Worker:
    """A child process with the copies `first` to `last - 1`, and the parent's end of its pipe."""

    number: int
    first: int
    last: int
    process: SpawnProcess
    pipe: Connection

    @property
    def name(self) -> str:
        """The worker in messages."""
        return f"worker {self.number} (copies {self.first} to {self.last - 1})"


def ending(exitcode: int | None) -> str:
    """How a process has ended, in words; None is a process that closed its pipe and goes on."""
    if exitcode is None:
        return "gave up"
    if exitcode < 0:
        return f"was killed by {signal.Signals(-exitcode).name}"
    return f"ended with exit code {exitcode}"


def start_worker(
    number: int, first: int, last: int, make: Callable[[], Any], options: Mapping[str, Any]
) -> Worker:
    """Start a worker; its first answer is the layout."""
    parent_end, child_end = CONTEXT.Pipe()
    process = CONTEXT.Process(
        target=serve,
        args=(child_end, make, first, last, options),
        daemon=True,
        name=f"env-{number}",
    )
    try:
        process.start()
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        parent_end.close()
        raise UsageError(
            f"the environment cannot be sent to a worker ({error}); name it, "
            "package.module:function, or give a function at the top of a module"
        ) from error
    finally:
        child_end.close()
    return Worker(number, first, last, process, parent_end)


def end_workers(workers: list[Worker]) -> None:
    """Close all pipes, which asks the workers to end; kill those that do not end in time."""
    for worker in workers:
        worker.pipe.close()
    deadline = time.monotonic() + CLOSING_TIME
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.process.close()
    workers.clear()
