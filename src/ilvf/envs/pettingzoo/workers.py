"""The copies of a PettingZoo environment in child processes: whatever happens to one ends in a sentence, and in time.

One message a step and worker, by pipe; all workers get their actions before the first is awaited, and who waits sleeps.
"""

import contextlib
import itertools
import multiprocessing
import multiprocessing.connection
import multiprocessing.util
import os
import pickle
import random
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, NoReturn

import numpy as np

from ilvf.envs.pettingzoo.copies import APART, Arrays, Copies
from ilvf.errors import UsageError, require

CONTEXT = multiprocessing.get_context(
    "spawn"
)  # a fork would inherit torch's threads, and its siblings' pipes
GRACE = 5.0  # [s] for environments to close
ADVICE = "a run goes on from its last checkpoint by resume=last, with new episodes"


@dataclass(frozen=True)
class Worker:
    """A child process with its copies `first` to `last - 1`, and our end of its pipe."""

    number: int
    first: int
    last: int
    process: SpawnProcess
    pipe: Connection


class WorkerCopies:
    """`Copies` spread over `workers` processes; the same methods.

    Args:
        make: makes one environment; it is pickled.
        timeout: seconds that a worker may take for an answer, its start included.
        **options: of `Copies`.
    """

    def __init__(
        self, make: Callable[[], Any], number: int, *, workers: int, timeout: float, **options: Any
    ):
        self.timeout, self.steps, self.doing = timeout, 0, "while starting"
        self.workers: list[Worker] = []
        self._end = multiprocessing.util.Finalize(
            self, _end, (self.workers,), exitpriority=100
        )  # before mp's own joins
        bounds = [number * w // workers for w in range(workers + 1)]
        try:
            for first, last in itertools.pairwise(bounds):
                self.workers.append(_start(len(self.workers), first, last, make, options))
            answers = self._receive(self.workers)
        except BaseException:
            self.close()
            raise
        self.layout = answers[0]
        self._latest: list[Arrays] = [{}] * workers

    def reset(self, seeds: Mapping[int, int | None]) -> Arrays:
        self.doing = f"in a reset after step {self.steps}"
        parts = [
            {k - w.first: s for k, s in seeds.items() if w.first <= k < w.last}
            for w in self.workers
        ]
        return self._ask(
            {w.number: ("reset", part) for w, part in zip(self.workers, parts, strict=True) if part}
        )

    def step(self, action: np.ndarray) -> Arrays:
        self.steps += 1
        self.doing = f"in step {self.steps}"
        return self._ask({w.number: ("step", action[w.first : w.last]) for w in self.workers})

    def close(self) -> None:
        """End all processes; those that do not close their environments in time are killed."""
        self._end()

    # ------------------------------------------------------------------ messages
    def _ask(self, messages: Mapping[int, Any]) -> Arrays:
        require(bool(self.workers), "the workers of this environment have ended; make it anew")
        for number, message in messages.items():
            try:
                self.workers[number].pipe.send(message)
            except OSError:
                self._died(self.workers[number])
        for number, answer in zip(
            messages, self._receive([self.workers[n] for n in messages]), strict=True
        ):
            self._latest[number] = answer
        return {k: np.concatenate([a[k] for a in self._latest]) for k in self._latest[0]}

    def _receive(self, workers: Sequence[Worker]) -> list[Any]:
        deadline, answers = time.monotonic() + self.timeout, []
        for worker in workers:
            try:
                if not worker.pipe.poll(max(0.0, deadline - time.monotonic())):
                    self._hang([w for w in workers if w is worker or not w.pipe.poll(0)])
                kind, answer = worker.pipe.recv()
            except (EOFError, OSError):
                self._died(worker)
            if kind != "done":
                self.close()
                raise UsageError(
                    answer
                    if kind == "refused"
                    else f"{self._name(worker)} failed {self.doing}: {answer}"
                )
            answers.append(answer)
        return answers

    def _name(self, worker: Worker) -> str:
        return f"worker {worker.number} (copies {worker.first} to {worker.last - 1})"

    def _hang(self, late: Sequence[Worker]) -> NoReturn:
        for worker in late:
            worker.process.kill()
        names = " and ".join(self._name(w) for w in late)
        self.close()
        raise UsageError(
            f"{names} gave no answer within timeout={self.timeout:g} s {self.doing}; {ADVICE}"
        )

    def _died(self, worker: Worker) -> NoReturn:
        name = self._name(worker)
        worker.process.join(GRACE)
        code = worker.process.exitcode
        how = f"ended with exit code {code}"
        if code is None or code < 0:
            how = "gave up" if code is None else f"was killed by {signal.Signals(-code).name}"
        hint = ""
        if code == -signal.SIGKILL:
            hint = " (the system does that when memory runs out)"
        elif self.doing == "while starting":
            hint = " (a script that starts workers needs: if __name__ == '__main__')"
        self.close()
        raise UsageError(f"{name} {how} {self.doing}{hint}; {ADVICE}")


def _start(
    number: int, first: int, last: int, make: Callable[[], Any], options: Mapping[str, Any]
) -> Worker:
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(
        target=_serve, args=(theirs, make, first, last, options), daemon=True, name=f"env-{number}"
    )
    try:
        process.start()
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        ours.close()
        raise UsageError(
            f"the environment cannot be sent to a worker ({error}); name it, package.module:function, or give a "
            "function at the top of a module"
        ) from error
    finally:
        theirs.close()
    return Worker(number, first, last, process, ours)


def _end(workers: list[Worker]) -> None:
    for worker in workers:
        worker.pipe.close()  # what they are waiting for
    deadline = time.monotonic() + GRACE
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.process.close()
    workers.clear()


# ---------------------------------------------------------------------- in the child
def _serve(
    pipe: Connection, make: Callable[[], Any], first: int, last: int, options: dict[str, Any]
) -> None:
    """Answer until the pipe ends: ("done", arrays), ("refused", a sentence) or ("failed", what went wrong)."""
    _live_and_die_with_the_parent()
    os.environ.setdefault(
        "OMP_NUM_THREADS", "1"
    )  # environments that use torch share the cores with their siblings
    seed = options.pop("seed", 0) + APART * first
    random.seed(seed)
    np.random.seed(seed % 2**32)
    with contextlib.ExitStack() as stack:
        try:
            copies = Copies(make, last - first, seed=seed, first=first, **options)
            stack.callback(copies.close)
            pipe.send(("done", copies.layout))
            for name, argument in _messages(pipe):
                pipe.send(("done", getattr(copies, name)(argument)))
        except UsageError as error:
            pipe.send(("refused", str(error)))
        except Exception as error:  # whatever an environment can raise
            traceback.print_exc()
            reason = str(error).strip().splitlines() or [""]
            pipe.send(("failed", f"{type(error).__name__}: {reason[0]:.200}"))


def _messages(pipe: Connection) -> Iterator[tuple[str, Any]]:
    while True:
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            return
        yield message


def _live_and_die_with_the_parent() -> None:
    """Ctrl-C, and a SIGTERM to all, are the parent's business: it finishes the iteration. Its death is ours.

    Handlers and not SIG_IGN, which simulators started here would inherit.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        assert parent is not None
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
