"""The process that one SUMO simulation lives in; `simulator.py` runs this file and talks to it.

One message a control step each way. It imports neither torch nor this package, so that it is ready in half a second,
and ends when the pipe does: with the process that started it.
"""

import os
import signal
import sys
from array import array
from collections.abc import Iterable, Sequence
from multiprocessing.connection import Connection
from typing import Any

GREEN = "Gg"
RETRIES = 10  # of traci to reach SUMO, a second each
TOTALS = (  # what follows the counts of lanes in an answer
    "running",  # vehicles in the network
    "departed",  # since the episode began, as all that follow
    "arrived",
    "backlog",  # vehicles that should have departed and found no room, now
    "teleports",
    "speed",  # [m/s], sum over the vehicles that are running
    "travel_time",  # [s], mean over those that have arrived
)


def transition(shown: str, wanted: str) -> str:
    """What lies between two phases, link by link: whoever loses green sees yellow, and nobody gets green before.

    Where no link loses it, that is the wanted phase itself.
    """
    if not any(p in GREEN and c == "r" for p, c in zip(shown, wanted, strict=True)):
        return wanted
    return "".join(map(_between, shown, wanted))


def _between(shown: str, wanted: str) -> str:
    if shown in GREEN and wanted == "r":
        return "y"
    return "r" if shown == "r" and wanted in GREEN else wanted


class Process:
    """SUMO by its own interface, `libsumo` or `traci`, which are used alike.

    Args:
        simulator: `libsumo`; `traci` or `gui` for SUMO as one more process, the latter with its window.
        signals: id → the phases that actions choose from; before the first step a signal counts as showing the first.
        queries: what to read after every control step: (`lane` or `lanearea`, a function of that domain, ids).
        interval, yellow: [s] of a control step, and of the transition that it begins with.
    """

    def __init__(
        self,
        simulator: str,
        signals: dict[str, Sequence[str]],
        queries: Sequence[tuple[str, str, Sequence[str]]],
        interval: float,
        yellow: float,
    ):
        self.simulator, self.queries, self.interval, self.yellow = simulator, queries, interval, yellow
        self.ids, self.phases = list(signals), list(signals.values())
        self.sumo: Any = None
        self.departed = self.arrived = 0

    def load(self, options: Sequence[str]) -> array:
        """Begin an episode: in a new simulation, or in the present one, which is faster and equals a new one."""
        if self.sumo is None:
            self.sumo = self._start(options)
        else:
            self.sumo.load(list(options))
        self._require_detectors()
        self.shown: list[str | None] = [None] * len(self.ids)
        self.chosen = [phases[0] for phases in self.phases]
        self.departed = self.arrived = 0
        return self._read()

    def _start(self, options: Sequence[str]) -> Any:
        if self.simulator == "libsumo":
            import libsumo

            libsumo.start(["sumo", *options])
            return libsumo
        import sumolib
        import traci

        gui = self.simulator == "gui"
        window = ["--start", "--quit-on-end"] if gui else []
        traci.start([sumolib.checkBinary("sumo-gui" if gui else "sumo"), *window, *options], numRetries=RETRIES)
        return traci

    def _require_detectors(self) -> None:
        needed = {i for domain, _, ids in self.queries for i in ids if domain == "lanearea"}
        missing = sorted(needed - set(self.sumo.lanearea.getIDList() if needed else ()))
        if missing:
            raise LookupError(
                f"there is no lane-area detector called {missing[0]}, nor {len(missing) - 1} others: detectors=true "
                "needs one for every approach lane, with the lane's id"
            )

    def step(self, actions: Sequence[int]) -> array:
        """One control step: the transition to the chosen phases, then these."""
        now = self.sumo.simulation.getTime()
        wanted = [phases[a] for phases, a in zip(self.phases, actions, strict=True)]
        if self.yellow:
            self._show(map(transition, self.chosen, wanted))
            self._advance(now + self.yellow)
        self._show(wanted)
        self._advance(now + self.interval)
        self.chosen = wanted
        return self._read()

    def _show(self, states: Iterable[str]) -> None:
        for k, state in enumerate(states):
            if state != self.shown[k]:
                self.sumo.trafficlight.setRedYellowGreenState(self.ids[k], state)
                self.shown[k] = state

    def _advance(self, until: float) -> None:
        self.sumo.simulationStep(until)
        self.departed += self.sumo.simulation.getDepartedNumber()
        self.arrived += self.sumo.simulation.getArrivedNumber()

    def _read(self) -> array:
        """The queries' numbers one after the other, then `TOTALS`."""
        answer = array("d")
        for domain, function, ids in self.queries:
            answer.extend(map(getattr(getattr(self.sumo, domain), function), ids))
        vehicle, parameter = self.sumo.vehicle, self.sumo.simulation.getParameter
        there = vehicle.getIDList()
        answer.extend((len(there), self.departed, self.arrived))
        answer.append(float(parameter("", "stats.vehicles.waiting")))
        answer.append(float(parameter("", "stats.teleports.total")))
        answer.append(sum(map(vehicle.getSpeed, there)))
        answer.append(float(parameter("", "device.tripinfo.duration")))
        return answer

    def close(self) -> None:
        """Let SUMO write what it has to write."""
        if self.sumo is not None:
            self.sumo.close()


def serve(pipe: Connection) -> None:
    """Answer ("done", numbers) or ("failed", what SUMO says) until the pipe ends.

    A timer kills a hung simulation that has outlived its parent. It must not be a thread: with a second thread SUMO's
    shared pointers become atomic, and everything takes a fifth longer.
    """
    process: Process | None = None
    try:
        timeout, setup = pipe.recv()
        process = Process(**setup)
        while True:
            name, argument = pipe.recv()
            signal.setitimer(signal.ITIMER_REAL, 2 * (timeout or 0))
            pipe.send(_answer(process, name, argument))
            signal.setitimer(signal.ITIMER_REAL, 0)
    except (EOFError, OSError):
        if process is not None:
            process.close()


def _answer(process: Process, name: str, argument: Sequence[Any]) -> tuple[str, Any]:
    try:
        return "done", getattr(process, name)(argument).tobytes()
    except Exception as error:  # whatever SUMO can raise
        return "failed", f"{error}" or type(error).__name__


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):  # the parent's business
        signal.signal(number, signal.SIG_IGN)
    serve(Connection(int(sys.argv[1])))
    os._exit(0)  # SUMO has closed its files; taking Python down takes longer than the rest
