"""A worker in a process of this machine."""

import contextlib
import multiprocessing
import multiprocessing.util
import os
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess

from ilvf.collectors.serving import Service, WorkerDied
from ilvf.envs.pettingzoo.child import exit_with_the_parent, leave_signals_to_the_parent
from ilvf.envs.pettingzoo.worker_process import CLOSING_TIME, ending

PRELOADED = ["ilvf.collectors.serving"]


class ProcessWorker:
    """A process that answers orders; it dies with this process.

    Args:
        plan: a pickled `Plan`.
        number: of the worker.

    Attributes:
        process: the process.
    """

    def __init__(self, plan: bytes, number: int):
        context = quick_context()
        self.pipe, child_end = context.Pipe()
        self.process: BaseProcess = context.Process(  # type: ignore[attr-defined]
            target=serve, args=(child_end, plan), name=f"collector-{number}"
        )  # no daemon, because environments may start processes of their own
        self.process.start()
        child_end.close()
        # With a priority, so that it runs before multiprocessing joins the process itself.
        self._finalizer = multiprocessing.util.Finalize(
            self, end_process, (self.process, self.pipe), exitpriority=100
        )

    def ask(self, order: bytes) -> None:
        """Send an order; `answer` tells if the process has died."""
        with contextlib.suppress(OSError):
            self.pipe.send_bytes(order)

    def answer(self) -> bytes:
        """The answer to the last order.

        Raises:
            WorkerDied: the process has ended.
        """
        try:
            return self.pipe.recv_bytes()
        except (EOFError, OSError) as error:
            self.process.join(CLOSING_TIME)
            raise WorkerDied(ending(self.process.exitcode)) from error

    def end(self) -> None:
        """End the process, which closes its environments."""
        self._finalizer()


def quick_context() -> BaseContext:
    """How processes are started: forked from a server that has imported what they need.

    The server has one thread and no environments, so that nothing of a run is inherited. Where
    there is no server, each process imports for itself.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def end_process(process: BaseProcess, pipe: Connection) -> None:
    """Close the pipe, which asks the process to end; kill it if it does not end in time."""
    pipe.close()
    process.join(CLOSING_TIME)
    if process.exitcode is None:
        process.kill()
        process.join()


def serve(pipe: Connection, plan: bytes) -> None:
    """Answer orders until the parent closes the pipe."""
    leave_signals_to_the_parent()
    exit_with_the_parent()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    service = Service(plan)
    while True:
        try:
            pipe.send_bytes(service.answer(pipe.recv_bytes()))
        except (EOFError, OSError):
            break
    service.close()
