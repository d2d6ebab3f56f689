"""SUMO in a process of its own that may crash or hang: `Simulation` is what outlives it."""

import contextlib
import importlib.util
import os
import warnings
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ilvf.envs.traffic.simulator.child import Child
from ilvf.envs.traffic.simulator.sumo_process import TOTALS
from ilvf.envs.traffic.simulator.sumo_tools import INSTALL
from ilvf.errors import require, require_choice

SIMULATORS = ("libsumo", "traci", "gui")

Query = tuple[str, str, tuple[str, ...]]  # `lane` or `lanearea`, a function of that domain, ids


class SimulatorLost(Exception):
    """The simulator crashed, hung or gave up, the text says which. It is gone; the next `load` starts another."""


class SimulatorRefuses(SimulatorLost):
    """SUMO itself says what is wrong."""


@dataclass(frozen=True)
class Reading:
    """What a control step leads to: one array for every query, and the totals of `sumo_process.TOTALS`."""

    counts: list[np.ndarray]
    totals: dict[str, float]


def require_sumo(what: str) -> None:
    """Raise unless SUMO is installed; `what` needs it."""
    missing = [name for name in ("libsumo", "sumolib") if importlib.util.find_spec(name) is None]
    require(
        not missing,
        f"{what} needs SUMO ({' and '.join(missing)}), which is not installed: {INSTALL}",
    )


class Simulation:
    """One SUMO simulation in a child process. `load` and `step` ask, `read` waits for the answer.

    Args:
        signals: id → the phases that actions choose from.
        queries: what to read after every control step.
        options: of SUMO, all but the seed.
        interval, yellow: [s] of a control step, and of the transition that it begins with.
        simulator: `libsumo`, `traci` or `gui`.
        timeout: [s] for one answer; a window may be paused, so `gui` has none.
        tripinfo: a folder for SUMO's records of all finished trips, one file an episode.
    """

    def __init__(
        self,
        signals: Mapping[str, Sequence[str]],
        queries: Sequence[Query],
        options: Sequence[str],
        *,
        interval: float,
        yellow: float,
        simulator: str = "libsumo",
        timeout: float = 60.0,
        tripinfo: Path | None = None,
    ):
        require_choice("simulator", simulator, SIMULATORS)
        require(timeout > 0, f"timeout={timeout} must be positive")
        require_sumo("a traffic simulation")
        self._setup = dict(
            simulator=simulator,
            signals=dict(signals),
            queries=list(queries),
            interval=interval,
            yellow=yellow,
        )
        self._module = "libsumo" if simulator == "libsumo" else "traci"
        self._ends = np.cumsum([len(ids) for *_, ids in queries])
        self.options, self.timeout, self.tripinfo = (
            list(options),
            None if simulator == "gui" else timeout,
            tripinfo,
        )
        self._writing: Path | None = None  # the file of trips of this episode
        self._written: Path | None = None  # that of the last one, until it has been looked at
        self._child: Child | None = None
        self.start()

    def start(self) -> None:
        """Start a child unless there is one; it gets ready while others do something."""
        if self._child is None:
            self._child, self._asked = Child(self._module), 0
            self._end = weakref.finalize(self, self._child.end)
            here = (
                os.getcwd(),
                dict(os.environ),
            )  # as they are now, not when the template was started
            self._child.send((here, self.timeout, self._setup))

    @property
    def pid(self) -> int | None:
        """Of the child."""
        return self._child.pid if self._child else None

    def load(self, seed: int) -> None:
        """Begin an episode."""
        while self._child and self._asked:  # by an episode that nobody waited for
            with contextlib.suppress(SimulatorLost):
                self.read()
        self.start()
        options = [*self.options, "--seed", str(seed)]
        if self.tripinfo is not None:
            self._written, self._writing = self._writing, self.tripinfo / f"tripinfo-{seed}.xml"
            options += ["--tripinfo-output", str(self._writing)]
        self._ask("load", options)

    def step(self, actions: Sequence[int]) -> None:
        """One control step with phase `actions[i]` at signal i."""
        self._ask("step", actions)

    def _ask(self, name: str, argument: Any) -> None:
        if self._child is not None:
            self._asked += 1
            self._child.send((name, argument))

    def read(self) -> Reading:
        """Wait for what was asked for first.

        Raises:
            SimulatorLost: there will be no answer.
        """
        if self._child is None:
            raise SimulatorLost("SUMO has ended")
        try:
            if self.timeout is not None and not self._child.pipe.poll(self.timeout):
                self._lose(f"SUMO gave no answer within timeout={self.timeout:g} s")
            kind, answer = self._child.pipe.recv()
        except (EOFError, OSError):
            self._lose(f"SUMO {self._child.fate()}")
        self._asked -= 1
        if kind == "failed":
            self._lose(f"SUMO says: {self._child.explain(answer)}", SimulatorRefuses)
        self._look_at_trips()
        *counts, totals = np.split(np.frombuffer(answer), self._ends)
        return Reading(counts, dict(zip(TOTALS, totals.tolist(), strict=True)))

    def _lose(self, reason: str, kind: type[SimulatorLost] = SimulatorLost) -> None:
        assert self._child is not None
        self._child.kill()
        self._end()
        self._child = self._writing = self._written = None
        raise kind(reason)

    def close(self) -> None:
        """End the child, or kill it if it does not end in time."""
        if self._child is not None:
            self._end()
            self._child, self._written, self._writing = None, self._writing, None
            self._look_at_trips()

    def _look_at_trips(self) -> None:
        """SUMO does not notice when it cannot write."""
        if self._written not in (None, self._writing) and not _is_complete(self._written):
            warnings.warn(f"{self._written} is not complete; is the disk full?", stacklevel=4)
        self._written = None


def _is_complete(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 64))
            return b"</tripinfos>" in file.read(64)
    except OSError:
        return False
