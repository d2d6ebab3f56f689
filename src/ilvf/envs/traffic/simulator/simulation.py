"""One SUMO simulation in a child process. The child may crash or hang; `Simulation` outlives it."""

import contextlib
import importlib.util
import os
import sys
import warnings
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ilvf.envs.options import SignalOptions
from ilvf.envs.traffic.simulator.child import Child, Forker, Frozen, get_ready
from ilvf.envs.traffic.simulator.sumo_process import START_LIMIT, TOTALS, Move, Query
from ilvf.envs.traffic.simulator.sumo_tools import INSTALL
from ilvf.errors import UsageError, require

LONGEST = 1e6  # [s] that an answer is awaited; the operating system cannot wait for years
NO_DISPLAY = "unable to open display"  # what SUMO's window says
TRIPS_END = b"</tripinfos>"  # a complete file of trips ends with it


class SimulatorLost(Exception):
    """The simulator crashed, hung or gave up, as the text says. The next `load` starts another."""


class SimulatorRefuses(SimulatorLost):
    """SUMO itself reported an error, which is the text."""


@dataclass(frozen=True)
class Reading:
    """The result of a control step.

    Attributes:
        counts: one array for every query.
        totals: `sumo_process.TOTALS`.
    """

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
    """One SUMO simulation in a child process.

    `load` and `step` send requests, `read` waits for the answers, so that several simulations can
    work at the same time.

    Args:
        signals: id → the phases that actions choose from.
        queries: what to read for the answer to a control step.
        arguments: SUMO's command line without the seed.
        settings: the times of a step, the simulator, and `timeout` for one answer [s]. The first
            answer of a child has at least `START_LIMIT`, because it includes the start of SUMO.
            `gui` has no limit: its window can be paused.
        tripinfo: folder for SUMO's records of finished trips, one file per episode; None for none.
    """

    def __init__(
        self,
        signals: Mapping[str, Sequence[str]],
        queries: Sequence[Query],
        arguments: Sequence[str],
        settings: SignalOptions,
        tripinfo: Path | None,
    ):
        require_sumo("a traffic simulation")
        self.setup = {
            "simulator": settings.simulator,
            "signals": dict(signals),
            "queries": list(queries),
            "interval": settings.control_interval,
            "yellow": settings.yellow,
            "priority_waits": settings.priority_waits,
        }
        self.arguments = list(arguments)
        self.timeout = None if settings.simulator == "gui" else settings.timeout
        self.tripinfo = tripinfo
        self._module = "libsumo" if settings.simulator == "libsumo" else "traci"
        self._ends = np.cumsum([len(ids) for _, _, ids, _ in queries])
        self._trips: Path | None = None  # file of trips of this episode
        self._last_trips: Path | None = None  # of the last episode, until it has been checked
        self._child: Child | None = None
        self._unanswered = 0
        self._starting = True  # the child has not answered yet
        self.start()

    @property
    def pid(self) -> int | None:
        """Process id of the child; None if there is none."""
        return self._child.pid if self._child else None

    # ------------------------------------------------------------------ requests
    def start(self) -> None:
        """Start a child unless there is one. It gets ready while this process goes on."""
        if self._child is not None:
            return
        with places_named():
            # The template was started earlier, perhaps in another folder.
            surroundings = (os.getcwd(), dict(os.environ))
            child = self._adopt(get_ready(self._module))
        self._starting = True
        child.send((surroundings, (self._limit, self.timeout), self.setup))

    def _adopt(self, template: Forker) -> Child:
        """Take a fork of a template as the child."""
        self._child = Child(template)
        self._unanswered = 0
        self._end = weakref.finalize(self, self._child.end)
        return self._child

    @property
    def _limit(self) -> float | None:
        """Time for the next answer [s]; None for no limit."""
        if self.timeout is None or not self._starting:
            return self.timeout
        return max(START_LIMIT, self.timeout)

    def load(self, seed: int) -> None:
        """Begin an episode."""
        self._get_free()
        arguments = self._arguments(seed)
        if self.tripinfo is not None:
            self._last_trips = self._trips
            self._trips = self.tripinfo / f"tripinfo-{seed}.xml"
            arguments += ["--tripinfo-output", str(self._trips)]
        self._request("load", arguments)

    def _get_free(self) -> None:
        """Wait for the answers to requests that the last episode did not read."""
        while self._child and self._unanswered:
            with contextlib.suppress(SimulatorLost):
                self._numbers()
        self.start()

    def _arguments(self, seed: int) -> list[str]:
        return [*self.arguments, "--seed", str(seed)]

    def step(self, actions: Sequence[int]) -> None:
        """One control step, with phase `actions[i]` at signal i."""
        self._request("step", actions)

    def _request(self, name: str, argument: Any) -> None:
        if self._child is not None:
            self._unanswered += 1
            self._child.send((name, argument))

    # ------------------------------------------------------------------ states
    @property
    def can_freeze(self) -> bool:
        """Whether `freeze` is possible: SUMO runs in the child itself, with one thread."""
        if self.setup["simulator"] != "libsumo" or sys.platform != "linux" or self.pid is None:
            return False
        try:
            return len(os.listdir(f"/proc/{self.pid}/task")) == 1
        except OSError:  # it has ended
            return False

    def replay(self, seed: int, moves: Sequence[Move]) -> None:
        """Begin an episode and go through its moves; no file of trips is written."""
        self._get_free()
        self._last_trips, self._trips = self._trips, None
        self._request("replay", (self._arguments(seed), moves))

    def read_replay(self, steps: int) -> list[Reading]:
        """Wait for the readings of a replay: its beginning, then one for each of the moves.

        Raises:
            SimulatorLost: there will be no answer.
        """
        numbers = self._numbers(1 + steps)
        return [self._reading(part) for part in np.split(numbers, 1 + steps)]

    def freeze(self) -> Frozen:
        """Make the child, which owes no answer, a template; this simulation has no child then."""
        assert self._child is not None
        assert not self._unanswered
        self._end.detach()
        frozen = self._child.freeze()
        self._child = None
        return frozen

    def thaw(self, frozen: Frozen) -> None:
        """Go on from the state of another simulation with the same arguments."""
        self.close()
        with places_named():
            self._adopt(frozen)
        self._starting = False

    def seed(self, seed: int) -> None:
        """Seed SUMO's generators anew.

        Raises:
            SimulatorLost: SUMO refuses it.
        """
        self._request("seed", seed)
        self._numbers()

    # ------------------------------------------------------------------ answers
    def read(self) -> Reading:
        """Wait for the answer to the oldest request.

        Raises:
            SimulatorLost: there will be no answer.
            UsageError: SUMO cannot open its window.
        """
        return self._reading(self._numbers())

    def _reading(self, numbers: np.ndarray) -> Reading:
        *counts, totals = np.split(numbers, self._ends)
        return Reading(counts, dict(zip(TOTALS, totals.tolist(), strict=True)))

    def _numbers(self, readings: int = 1) -> np.ndarray:
        """Wait for the numbers of an answer; the time for them grows with the readings in it."""
        if self._child is None:
            raise SimulatorLost("SUMO has ended")
        try:
            limit = None if self._limit is None else min(LONGEST, self._limit * readings)
            if limit is not None and not self._child.pipe.poll(limit):
                what = f"timeout={limit:g} s"
                if self._starting:
                    what = f"the {limit:g} s that it has for its start"
                self._lose(f"SUMO gave no answer within {what}")
            kind, answer = self._child.pipe.recv()
        except (EOFError, OSError):
            error = self._child.last_words()
            if error:
                self._refuse(error)
            self._lose(f"SUMO {self._child.describe_end()}")
        self._unanswered -= 1
        self._starting = False
        if kind == "unfit":
            self._lose(answer, SimulatorRefuses)
        if kind == "failed":
            self._refuse(self._child.explain(answer))
        self._check_trips()
        numbers = np.frombuffer(answer)
        if not np.isfinite(numbers).all():
            self._lose("SUMO reports speeds or counts that are no finite numbers", SimulatorRefuses)
        return numbers

    def _refuse(self, error: str) -> NoReturn:
        """Raise the error that SUMO reported."""
        if NO_DISPLAY in error:
            display = os.environ.get("DISPLAY", "")
            self._lose(
                "simulator=gui cannot open SUMO's window: this machine has no display "
                f"(DISPLAY={display!r}); take simulator=libsumo, or give it one by ssh -X or "
                "xvfb-run",
                UsageError,
            )
        self._lose(f"SUMO says: {error}", SimulatorRefuses)

    def _lose(self, reason: str, kind: type[Exception] = SimulatorLost) -> NoReturn:
        """Kill the child and raise."""
        assert self._child is not None
        self._child.kill()
        self._end()
        self._child = None
        self._trips = None
        self._last_trips = None
        raise kind(reason)

    def close(self) -> None:
        """End the child, or kill it if it does not end in time."""
        if self._child is not None:
            self._end()
            self._child = None
            self._last_trips = self._trips
            self._trips = None
            self._check_trips()

    def _check_trips(self) -> None:
        """Warn if the last episode's file of trips is incomplete. SUMO does not notice it."""
        path = self._last_trips
        if path is not None and path != self._trips and not is_complete(path):
            warnings.warn(f"{path} is not complete; is the disk full?", stacklevel=4)
        self._last_trips = None


@contextlib.contextmanager
def places_named() -> Iterator[None]:
    """Say what a simulator needs if the system cannot start one."""
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"a simulator cannot be started here ({error.strerror or error}); "
            "it needs a working folder, and one for temporary files, TMPDIR"
        ) from None


def is_complete(path: Path) -> bool:
    """Whether a file of trips has its last line."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 64))
            return TRIPS_END in file.read(64)
    except OSError:
        return False
