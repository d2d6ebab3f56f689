"""Rollouts of several workers; a worker that dies is started again."""

import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase

from ilvf.collectors.part import Plan, State, order_of
from ilvf.collectors.serving import WorkerDied, content_of, pickled
from ilvf.errors import UsageError, require

DEATHS = 3  # of one worker in a row that end the run


class Worker(Protocol):
    """A `Service` in another process."""

    def ask(self, order: bytes) -> None:
        """Send an order."""

    def answer(self) -> bytes:
        """The answer to it."""

    def end(self) -> None:
        """End the process."""


Start = Callable[[bytes, int], Worker]  # starts a worker with a pickled plan and a number


class WorkerRollouts:
    """Rollouts `[B, T]` without end, whose environments are spread over workers.

    All workers collect at the same time, with the policy's present weights. A worker that dies is
    started again from its state before this rollout, and collects its part anew. So the rollout
    is the same as without the death, unless the environments cannot be saved: these begin new
    episodes.

    Args:
        start: starts a worker.
        plans: one for each worker; together they have B environments.
        policy: that collects; this process trains it.
        device: of the rollouts.
        leave: called after the workers have ended.

    Raises:
        UsageError: a worker has refused or failed, or has died `DEATHS` times in a row.
    """

    def __init__(
        self,
        start: Start,
        plans: Sequence[Plan],
        policy: TensorDictModuleBase,
        device: torch.device,
        leave: Callable[[], None] | None = None,
    ):
        self.start = start
        self.plans = list(plans)
        self.policy = policy
        self.device = device
        self.leave = leave
        self.deaths = [0] * len(plans)  # since the worker's last answer
        self.workers: list[Worker] = []
        for number, plan in enumerate(plans):
            self.workers.append(start(pickled(plan), number))

    def __iter__(self) -> Iterator[TensorDictBase]:
        return self

    def __next__(self) -> TensorDictBase:
        half = torch.is_autocast_enabled(self.device.type)
        order = pickled(order_of(self.policy, half))
        require(bool(self.workers), "the collector's workers have ended; make it anew")
        try:
            for worker in self.workers:
                worker.ask(order)
            parts = [self._part(number, order) for number in range(len(self.workers))]
        except BaseException:  # such as Ctrl-C: an unread answer would pass for the next one
            self.shutdown()
            raise
        joined: Any = torch.cat(parts, 0)
        rollout = joined.to(self.device)
        rollout.names = [None, "time"]
        return rollout

    def _part(self, number: int, order: bytes) -> TensorDictBase:
        """The part of a worker, which may die several times before it answers."""
        while True:
            try:
                answer = self.workers[number].answer()
            except WorkerDied as death:
                self._start_again(number, str(death))
                self.workers[number].ask(order)
            else:
                break
        rollout, state = content_of(answer, f"collector worker {number}")
        self.deaths[number] = 0
        self.plans[number] = replace(self.plans[number], saved=state)
        return rollout

    def _start_again(self, number: int, how: str) -> None:
        """Start a worker that has died, from its last state."""
        self.deaths[number] += 1
        count = self.deaths[number]
        if count >= DEATHS:
            raise UsageError(
                f"collector worker {number} {how}; it has died {count} times in a row. A run goes "
                "on from its last checkpoint by resume=last"
            )
        plan = self.plans[number]
        lost = plan.saved is not None and not plan.saved["env"]
        warnings.warn(
            f"collector worker {number} {how}; it is started again ({count} of at most "
            f"{DEATHS - 1} times in a row) and collects its part of the rollout anew"
            f"{', in new episodes' if lost else ''}",
            stacklevel=2,
        )
        self.workers[number].end()
        self.workers[number] = self.start(pickled(plan), number)

    def state(self) -> list[State | None]:
        """The states of all workers after their last rollout."""
        return [plan.saved for plan in self.plans]

    def shutdown(self) -> None:
        """End all workers, and what they have in common."""
        for worker in self.workers:
            worker.end()
        self.workers.clear()
        if self.leave is not None:
            self.leave()
            self.leave = None


def worker_seed(seed: int, number: int) -> int:
    """The seed of a worker.

    Args:
        seed: of the process that has the worker.
        number: of the worker.
    """
    return random.Random(f"{seed} worker {number}").randrange(2**31)


def split(plan: Plan, workers: int, saved: Sequence[State] | None) -> list[Plan]:
    """The plans of the workers, with environments and states of their own.

    Args:
        plan: of all environments and the process's seed.
        workers: at most as many as environments.
        saved: a state for each worker.
    """
    plans = []
    for number in range(workers):
        first = plan.num_envs * number // workers
        last = plan.num_envs * (number + 1) // workers
        changed: dict[str, Any] = {
            "num_envs": last - first,
            "seed": worker_seed(plan.seed, number),
            "saved": None if saved is None else saved[number],
        }
        plans.append(replace(plan, **changed))
    return plans
