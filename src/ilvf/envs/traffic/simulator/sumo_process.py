"""One SUMO simulation, in the process that it has to itself.

`serving.py` has its requests. This file imports neither torch nor this package, so that a simulator
is ready in a third of a second.
"""

import functools
import subprocess
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

GREEN = "Gg"
OFF = "oO"  # the light is off; with `o` the link gives way
START_LIMIT = 300.0  # [s] for a simulator to start and load its files, even on a busy machine
RETRY = 0.1  # [s] between attempts to connect to it
COUNTED_IDS = ("getPendingVehicles",)  # functions that return ids; their number is read
TOTALS = (  # numbers of an answer after those of the queries
    "running",  # vehicles in the network
    "departed",  # vehicles since the episode began
    "arrived",  # vehicles since the episode began
    "backlog",  # vehicles that are due to depart and find no room
    "teleports",  # since the episode began
    "speed",  # [m/s], sum over the running vehicles
    "travel_time",  # [s], mean over the arrived vehicles
)

# `lane`, `lanearea` or `edge`, a function of it, ids, and when they are read: True in every
# simulation step, of which the answer has the means, False at the end of the control step.
Query = tuple[str, str, Sequence[str], bool]

# A seed for SUMO's generators or None, then the phases that the signals choose.
Move = tuple[int | None, Sequence[int]]


class UnfitSimulationError(Exception):
    """A simulation cannot be controlled as wanted, as the text says."""


def require_whole_steps(step: float, **times: float) -> None:
    """Raise `UnfitSimulationError` unless every time [s] is a multiple of SUMO's step [s]."""
    for name, time in times.items():
        steps = round(time / step)
        if abs(time / step - steps) > 1e-6 or (time > 0 and steps == 0):
            raise UnfitSimulationError(
                f"{name}={time:g} s is no multiple of SUMO's step of {step:g} s (--step-length)"
            )


@functools.cache  # a signal has few phases
def transition(shown: str, wanted: str, priority_waits: bool = True) -> str:
    """The state between two phases, link by link.

    A link that loses green is yellow. A link that gains green keeps its letter until the wanted
    phase; with `priority_waits` so does one that gives way and gains priority. Without a link that
    loses green, this is the wanted phase itself.
    """
    pairs = list(zip(shown, wanted, strict=True))
    if not any(loses_green(before, after) for before, after in pairs):
        return wanted
    return "".join(between(before, after, priority_waits) for before, after in pairs)


def loses_green(before: str, after: str) -> bool:
    """Whether a link must stop, or must look out for others, where it had green before.

    A link that is off (`o`, `O`) has no light that stops it, so it counts as green, too.
    """
    if before in GREEN:
        return after not in GREEN
    return before in OFF and after not in GREEN + OFF


def gains_green(before: str, after: str) -> bool:
    """Whether a link may go where it had to stop before, or has green where it was off."""
    if after in GREEN:
        return before not in GREEN
    return after in OFF and before not in GREEN + OFF


def between(before: str, after: str, priority_waits: bool) -> str:
    """The letter of one link in a transition."""
    if loses_green(before, after):
        return "y"
    if gains_green(before, after) or (priority_waits and (before, after) == ("g", "G")):
        return before
    return after


class Process:
    """One SUMO simulation, through `libsumo` or `traci`, which have the same functions.

    Args:
        simulator: `libsumo`; `traci` starts SUMO as a separate program, `gui` with its window.
        signals: id → the phases that actions choose from. Before the first step every signal
            counts as showing its first phase.
        queries: what to read.
        interval: length of a control step [s].
        yellow: length of the transition at its beginning [s].
        priority_waits: see `transition`.
    """

    def __init__(
        self,
        simulator: str,
        signals: dict[str, Sequence[str]],
        queries: Sequence[Query],
        interval: float,
        yellow: float,
        priority_waits: bool,
    ):
        self.simulator = simulator
        self.queries = queries
        self.interval = interval
        self.yellow = yellow
        self.priority_waits = priority_waits
        self.watched = [query for query in queries if query[3]]
        self.sums = [array("d", bytes(8 * len(ids))) for _, _, ids, _ in self.watched]
        self.steps = 0  # simulation steps that are in the sums
        self.ids = list(signals)
        self.phases = list(signals.values())
        self.sumo: Any = None
        self.departed = 0
        self.arrived = 0

    def load(self, options: Sequence[str]) -> array:
        """Begin an episode and read it.

        A running simulation is reloaded, which is faster than a new one and gives the same.
        """
        if self.sumo is None:
            self.sumo = self._start(options)
        else:
            self.sumo.load(list(options))
        step = self.sumo.simulation.getDeltaT()
        require_whole_steps(step, control_interval=self.interval, yellow=self.yellow)
        self._require_lanes()
        self._require_detectors()
        self.shown: list[str | None] = [None] * len(self.ids)
        self.chosen = [phases[0] for phases in self.phases]
        self.departed = 0
        self.arrived = 0
        self._forget()
        return self._read()

    def step(self, actions: Sequence[int]) -> array:
        """One control step: the transition to the chosen phases, then these phases."""
        now = self.sumo.simulation.getTime()
        wanted = [phases[a] for phases, a in zip(self.phases, actions, strict=True)]
        if self.yellow:
            pairs = zip(self.chosen, wanted, strict=True)
            self._show(transition(*pair, self.priority_waits) for pair in pairs)
            self._advance(now + self.yellow)
        self._show(wanted)
        self._advance(now + self.interval)
        self.chosen = wanted
        return self._read()

    def replay(self, episode: tuple[Sequence[str], Sequence[Move]]) -> array:
        """Begin an episode and go through its moves; the numbers of all readings in turn."""
        options, moves = episode
        answer = self.load(options)
        for seed, actions in moves:
            if seed is not None:
                self.seed(seed)
            answer.extend(self.step(actions))
        return answer

    def seed(self, seed: int) -> array:
        """Seed SUMO's generators anew; no numbers."""
        from generators import seed_generators  # `template.py` has imported it

        seed_generators(self.sumo, seed)
        return array("d")

    def close(self) -> None:
        """End SUMO, which writes its files."""
        if self.sumo is not None:
            self.sumo.close()

    # ------------------------------------------------------------------ start
    def _start(self, options: Sequence[str]) -> Any:
        """Start SUMO; returns the module that controls it."""
        if self.simulator == "libsumo":
            import libsumo

            libsumo.start(["sumo", *options])
            return libsumo
        return self._start_program(options)

    def _start_program(self, options: Sequence[str]) -> Any:
        """Start SUMO as a separate program.

        `traci.start` would wait whole seconds, and restart a SUMO that has ended ten times.
        """
        import sumolib
        import traci

        port = sumolib.miscutils.getFreeSocketPort()
        binary = "sumo-gui" if self.simulator == "gui" else "sumo"
        command = [sumolib.checkBinary(binary), *options, "--remote-port", str(port)]
        if self.simulator == "gui":
            command += ["--start", "--quit-on-end"]
        traci.connect(
            port,
            int(START_LIMIT / RETRY),
            proc=subprocess.Popen(command),
            waitBetweenRetries=RETRY,
            label="default",
        )
        traci.switch("default")
        return traci

    def _require_lanes(self) -> None:
        if self.sumo.simulation.getOption("mesosim") == "true":
            raise UnfitSimulationError(
                "--mesosim simulates no lanes, and nothing can be read of them; leave it out"
            )

    def _require_detectors(self) -> None:
        needed = {i for domain, _, ids, _ in self.queries for i in ids if domain == "lanearea"}
        if not needed:
            return
        missing = sorted(needed - set(self.sumo.lanearea.getIDList()))
        if missing:
            raise UnfitSimulationError(
                f"there is no lane-area detector called {missing[0]}, nor {len(missing) - 1} "
                "others: detectors=true needs one for every approach lane, with the lane's id"
            )

    # ------------------------------------------------------------------ steps
    def _show(self, states: Iterable[str]) -> None:
        """Set the states of the signals that do not show them yet."""
        for k, state in enumerate(states):
            if state != self.shown[k]:
                self.sumo.trafficlight.setRedYellowGreenState(self.ids[k], state)
                self.shown[k] = state

    def _advance(self, until: float) -> None:
        """Simulate until a time [s]."""
        if not self.watched:
            self._simulate(until)
            return
        step = self.sumo.simulation.getDeltaT()
        for _ in range(round((until - self.sumo.simulation.getTime()) / step)):
            self._simulate(0.0)  # one simulation step
            self._watch()

    def _simulate(self, until: float) -> None:
        """Simulate until a time [s] and count vehicles that depart and arrive."""
        self.sumo.simulationStep(until)
        self.departed += self.sumo.simulation.getDepartedNumber()
        self.arrived += self.sumo.simulation.getArrivedNumber()

    def _watch(self) -> None:
        """Add the values of this simulation step to the sums."""
        self.steps += 1
        for sums, query in zip(self.sums, self.watched, strict=True):
            for k, value in enumerate(self._values(query)):
                sums[k] += value

    def _forget(self) -> None:
        """Begin new sums."""
        self.steps = 0
        for sums in self.sums:
            sums[:] = array("d", bytes(8 * len(sums)))

    def _values(self, query: Query) -> Iterable[float]:
        """The numbers of a query."""
        domain, name, ids, _ = query
        values = map(getattr(getattr(self.sumo, domain), name), ids)
        return map(len, values) if name in COUNTED_IDS else values

    def _read(self) -> array:
        """The numbers of all queries one after the other, then `TOTALS`."""
        answer = array("d")
        sums = iter(self.sums)
        for query in self.queries:
            if query[3]:
                answer.extend(total / max(self.steps, 1) for total in next(sums))
            else:
                answer.extend(self._values(query))
        self._forget()
        running = self.sumo.vehicle.getIDList()
        answer.extend((len(running), self.departed, self.arrived))
        answer.append(self._statistic("stats.vehicles.waiting"))
        answer.append(self._statistic("stats.teleports.total"))
        answer.append(sum(map(self.sumo.vehicle.getSpeed, running)))
        answer.append(self._statistic("device.tripinfo.duration"))
        return answer

    def _statistic(self, name: str) -> float:
        return float(self.sumo.simulation.getParameter("", name))
