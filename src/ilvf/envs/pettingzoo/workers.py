"""Copies of a PettingZoo environment in child processes.

One message per step and worker goes through a pipe. All workers get their actions before the first
answer is awaited. Whatever happens to a worker (it raises, hangs, exits or is killed) becomes a
`UsageError` with one sentence.
"""

import contextlib
import itertools
import multiprocessing.util
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from ilvf.envs.pettingzoo.arrays import Arrays
from ilvf.envs.pettingzoo.worker_process import (
    CLOSING_TIME,
    Worker,
    end_workers,
    ending,
    start_worker,
)
from ilvf.errors import UsageError, require

START_LIMIT = 300.0  # [s] that a worker may take to import, make and first reset its copies
STARTING = "while starting"
RESUME_ADVICE = "a run goes on from its last checkpoint by resume=last, with new episodes"


class WorkerCopies:
    """`Copies` spread over child processes, with the same methods.

    Args:
        make: makes one environment; it is pickled.
        number: K, copies in all.
        workers: child processes, at most K.
        timeout: seconds that a worker may take for a step or reset. It may start for
            `START_LIMIT` seconds, or for `timeout` if that is longer.
        **options: of `Copies`.

    Raises:
        UsageError: a worker has failed; it names the worker and the step. All workers are ended.
    """

    def __init__(
        self, make: Callable[[], Any], number: int, *, workers: int, timeout: float, **options: Any
    ):
        self.timeout = timeout
        self.steps = 0
        self.activity = STARTING  # for messages
        self.workers: list[Worker] = []
        # With a priority, so that it runs before multiprocessing joins the processes itself.
        self._finalizer = multiprocessing.util.Finalize(
            self, end_workers, (self.workers,), exitpriority=100
        )
        bounds = [number * w // workers for w in range(workers + 1)]
        try:
            for first, last in itertools.pairwise(bounds):
                self.workers.append(start_worker(len(self.workers), first, last, make, options))
            layouts = self._receive(self.workers)
        except BaseException:
            self._end()
            raise
        self.layout = layouts[0]
        self._latest: list[Arrays] = [{}] * workers

    def reset(self, seeds: Mapping[int, int | None]) -> Arrays:
        """See `Copies.reset`."""
        self.activity = f"in a reset after step {self.steps}"
        messages = {}
        for worker in self.workers:
            part = {
                k - worker.first: seed
                for k, seed in seeds.items()
                if worker.first <= k < worker.last
            }
            if part:
                messages[worker.number] = ("reset", part)
        return self._ask(messages)

    def step(self, action: np.ndarray) -> Arrays:
        """See `Copies.step`."""
        self.steps += 1
        self.activity = f"in step {self.steps}"
        return self._ask({w.number: ("step", action[w.first : w.last]) for w in self.workers})

    def save(self) -> list[Any]:
        """See `Copies.save`."""
        self.activity = f"in a save after step {self.steps}"
        parts = self._answers({worker.number: ("save",) for worker in self.workers})
        return [state for part in parts for state in part]

    def restore(self, saved: Sequence[Any]) -> Arrays:
        """See `Copies.restore`."""
        self.activity = f"in a restore after step {self.steps}"
        parts = {w.number: ("restore", saved[w.first : w.last]) for w in self.workers}
        return self._ask(parts)

    def close(self) -> None:
        """End all processes; those that do not close their environments in time are killed.

        Raises:
            UsageError: an environment has failed in its `close`; all processes have ended.
        """
        self.activity = f"in close after step {self.steps}"
        failures = self._close_environments()
        self._end()
        if failures:
            raise UsageError(failures[0])

    def _close_environments(self) -> list[str]:
        """Ask all workers to close their environments; return what went wrong."""
        failures: list[str] = []
        asked: list[Worker] = []
        for worker in self.workers:
            with contextlib.suppress(OSError):  # it has ended
                worker.pipe.send(("close",))
                asked.append(worker)
        deadline = time.monotonic() + CLOSING_TIME
        for worker in asked:
            try:
                if not worker.pipe.poll(max(0.0, deadline - time.monotonic())):
                    continue
                kind, answer = worker.pipe.recv()
            except (EOFError, OSError):
                worker.process.join(CLOSING_TIME)
                failures.append(f"{worker.name} {ending(worker.process.exitcode)} {self.activity}")
                continue
            if kind != "done":
                failures.append(answer)
        return failures

    def _end(self) -> None:
        """End all processes, without a message of how they ended."""
        self._finalizer()

    # ------------------------------------------------------------------ messages
    def _ask(self, messages: Mapping[int, Any]) -> Arrays:
        """Send messages to some workers; return the latest arrays of all copies."""
        for number, answer in zip(messages, self._answers(messages), strict=True):
            self._latest[number] = answer
        names = self._latest[0]
        return {name: np.concatenate([part[name] for part in self._latest]) for name in names}

    def _answers(self, messages: Mapping[int, Any]) -> list[Any]:
        """Send messages to some workers; return their answers."""
        require(bool(self.workers), "the workers of this environment have ended; make it anew")
        try:
            for number, message in messages.items():
                self._send(self.workers[number], message)
            return self._receive([self.workers[number] for number in messages])
        except BaseException:  # such as Ctrl-C: an unread answer would pass for the next one
            self._end()
            raise

    def _send(self, worker: Worker, message: Any) -> None:
        try:
            worker.pipe.send(message)
        except OSError:
            self._raise_death(worker)

    def _receive(self, workers: Sequence[Worker]) -> list[Any]:
        """The answers of these workers."""
        deadline = time.monotonic() + self._patience()
        answers = []
        for worker in workers:
            try:
                if not worker.pipe.poll(max(0.0, deadline - time.monotonic())):
                    self._raise_timeout(worker, workers)
                kind, answer = worker.pipe.recv()
            except (EOFError, OSError):
                self._raise_death(worker)
            if kind == "refused":
                raise UsageError(answer)
            if kind == "failed":
                raise UsageError(f"{worker.name} failed {self.activity}: {answer}")
            answers.append(answer)
        return answers

    def _raise_timeout(self, worker: Worker, workers: Sequence[Worker]) -> NoReturn:
        """Kill `worker` and all others without an answer, and say which they were."""
        late = [w for w in workers if w is worker or not w.pipe.poll(0)]
        for w in late:
            w.process.kill()
        names = " and ".join(w.name for w in late)
        limit = f"{self._patience():g} s"
        if self.activity != STARTING:
            limit = f"timeout={limit}"
        self._end()
        raise UsageError(f"{names} gave no answer within {limit} {self.activity}; {RESUME_ADVICE}")

    def _patience(self) -> float:
        """Seconds that workers may take for what they do now."""
        return max(START_LIMIT, self.timeout) if self.activity == STARTING else self.timeout

    def _raise_death(self, worker: Worker) -> NoReturn:
        """Say how a worker's process has ended."""
        worker.process.join(CLOSING_TIME)
        code = worker.process.exitcode
        how = ending(code)
        hint = ""
        if code == -signal.SIGKILL:
            hint = " (the system does that when memory runs out)"
        elif self.activity == STARTING:
            hint = " (a script that starts workers needs: if __name__ == '__main__')"
        self._end()
        raise UsageError(f"{worker.name} {how} {self.activity}{hint}; {RESUME_ADVICE}")
