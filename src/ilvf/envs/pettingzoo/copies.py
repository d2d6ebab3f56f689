"""Copies of a PettingZoo parallel environment as numpy arrays, stepped in this process.

`workers.py` spreads them over child processes. Imports no torch, so a child process starts in half
a second.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from pettingzoo import ParallelEnv

from ilvf.envs.options import StepperOptions
from ilvf.envs.pettingzoo.arrays import Arrays, allocate
from ilvf.envs.pettingzoo.env_copy import EnvCopy
from ilvf.envs.pettingzoo.faults import call, label
from ilvf.envs.pettingzoo.layout import layout_of
from ilvf.errors import UsageError, require

# Difference between the seeds of consecutive copies. It is large, so that runs with the seeds
# 0, 1, 2, ... have no copy in common.
SEED_STRIDE = 100_003


class Copies:
    """K environments, reset and stepped one after the other; results are arrays, see `allocate`.

    Environments that do their work elsewhere may have `begin_reset(seed)` and
    `begin_step(actions)`. These are called for all copies before the first `reset` or `step`, so
    that all copies work at the same time. Environments whose state can be saved have `save()`,
    whose result can be pickled, `begin_restore(saved)`, and `restore(saved)`, which returns what
    `reset` does. Environments that write messages of their own may have
    `set_copy_number(k)`. If the whole batch has several copies, it is called before the first
    reset.

    Args:
        make: makes one environment.
        number: K.
        seed: with which the first copy will be reset, if that is known. Its infos are needed now,
            and with the right seed this reset is not repeated.
        dying: agents may end before others do.
        global_state: ask for `state()` in every step.
        entities: to which sequences in observations are padded.
        first: number of the first copy in the whole batch, for messages.
        total: copies in the whole batch, if there are more than these K.

    Raises:
        UsageError: in every method, if an environment raises anything or breaks a rule.
    """

    def __init__(
        self,
        make: Callable[[], ParallelEnv],
        number: int,
        *,
        seed: int = 0,
        dying: bool = False,
        global_state: bool = False,
        entities: int = StepperOptions.entities,
        first: int = 0,
        total: int = 1,
    ):
        self.first = first
        self.envs: list[ParallelEnv] = []
        try:
            self.envs.extend(make() for _ in range(number))
            self._require_distinct()
            if max(number, total) > 1:
                self._number_copies()
            where = f"{label(self.envs[0])} (copy {first}) in the first reset"
            start = call(where, self.envs[0].reset, seed=seed)
            self.layout = call(where, layout_of, self.envs[0], start, global_state, entities)
        except BaseException:
            with contextlib.suppress(UsageError):  # the first failure is the one to report
                self.close()
            raise
        self._unused_reset: tuple[int, Any] | None = (seed, start)  # of copy 0
        self.arrays = allocate(self.layout, number)
        self._copies = [
            EnvCopy(env, self.layout, self.arrays, k, number=first + k, dying=dying)
            for k, env in enumerate(self.envs)
        ]

    def _require_distinct(self) -> None:
        require(
            len(set(map(id, self.envs))) == len(self.envs),
            "the function that makes an environment made one twice; it must make a new one in "
            "every call",
        )

    def _number_copies(self) -> None:
        """Tell every environment its number in the whole batch, if it wants to know."""
        for number, env in enumerate(self.envs, self.first):
            if hasattr(env, "set_copy_number"):
                call(f"{label(env)} (copy {number})", env.set_copy_number, number)

    def reset(self, seeds: Mapping[int, int | None]) -> Arrays:
        """Start new episodes in some copies.

        Args:
            seeds: row of the copy → its seed; None continues with the copy's random numbers.
        """
        for k, seed in seeds.items():
            if hasattr(self.envs[k], "begin_reset") and not self._is_reset(k, seed):
                self._copies[k].begin_reset(seed)
        for k, seed in seeds.items():
            self._copies[k].reset(seed, self._start(k, seed))
        return self._snapshot()

    def _start(self, k: int, seed: int | None) -> Any:
        """The result of the constructor's reset, if copy k is to be reset with the same seed."""
        start = None
        if self._unused_reset is not None and self._is_reset(k, seed):
            start = self._unused_reset[1]
        if k == 0:
            self._unused_reset = None
        return start

    def _is_reset(self, k: int, seed: int | None) -> bool:
        """Whether the constructor reset this copy with this seed and nothing happened since."""
        return k == 0 and self._unused_reset is not None and self._unused_reset[0] == seed

    def save(self) -> list[Any]:
        """The states of all copies."""
        return [call(copy.name, copy.env.save) for copy in self._copies]

    def restore(self, saved: Sequence[Any]) -> Arrays:
        """Go on from saved states, one for each copy."""
        self._unused_reset = None
        for copy, state in zip(self._copies, saved, strict=True):
            call(copy.name, copy.env.begin_restore, state)
        for copy, state in zip(self._copies, saved, strict=True):
            copy.reset(None, call(copy.name, copy.env.restore, state))
        return self._snapshot()

    def step(self, action: np.ndarray) -> Arrays:
        """One step of all copies.

        Args:
            action: `[K, N]` or `[K, N, D]`, counted from 0, or continuous `[K, N, A]`. Those of
                dead agents and ended episodes are ignored.
        """
        rows = zip(self._copies, action.tolist(), strict=True)
        chosen = [copy.actions(row) for copy, row in rows]
        for copy, actions in zip(self._copies, chosen, strict=True):
            if actions and hasattr(copy.env, "begin_step"):
                copy.begin_step(actions)
        for copy, actions in zip(self._copies, chosen, strict=True):
            copy.step(actions)
        return self._snapshot()

    def _snapshot(self) -> Arrays:
        return {name: value.copy() for name, value in self.arrays.items()}

    def close(self) -> None:
        """Close all environments, even if closing one of them fails.

        Raises:
            UsageError: the first failure, after all have been closed.
        """
        failures: list[UsageError] = []
        while self.envs:
            env = self.envs.pop()
            where = f"{label(env)} (copy {self.first + len(self.envs)}) in close"
            try:
                call(where, env.close)
            except UsageError as error:
                failures.append(error)
        if failures:
            raise failures[-1]
