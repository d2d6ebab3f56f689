"""The process that one SUMO simulation lives in, and the template that it is forked from; `child.py` runs this file.

One message a control step each way. It imports neither torch nor this package, so that it is ready in a third of a
second, and ends when the pipe does: with the process that started it.
"""

import contextlib
import importlib
import os
import signal
import socket
import subprocess
import sys
from array import array
from collections.abc import Iterable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

GREEN = "Gg"
PATIENCE = 60.0  # [s] for SUMO as one more process to load its files
RETRY = 0.1  # [s]
OF_IDS = ("getPendingVehicles",)  # functions that give ids, which are counted
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
        self.simulator, self.queries, self.interval, self.yellow = (
            simulator,
            queries,
            interval,
            yellow,
        )
        self.ids, self.phases = list(signals), list(signals.values())
        self.sumo: Any = None
        self.departed = self.arrived = 0

    def load(self, options: Sequence[str]) -> array:
        """Begin an episode: in a new simulation, or in the present one, which is faster and equals a new one."""
        if self.sumo is None:
            self.sumo = self._start(options)
        else:
            self.sumo.load(list(options))
        self._require_whole_steps()
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
        return self._start_program(options)

    def _start_program(self, options: Sequence[str]) -> Any:
        """As `traci.start` does, which waits whole seconds, and starts a SUMO that has ended ten times more."""
        import sumolib
        import traci

        gui = self.simulator == "gui"
        port = str(sumolib.miscutils.getFreeSocketPort())
        command = [
            sumolib.checkBinary("sumo-gui" if gui else "sumo"),
            *options,
            "--remote-port",
            port,
        ]
        program = subprocess.Popen(command + ["--start", "--quit-on-end"] * gui)
        traci.connect(
            int(port),
            int(PATIENCE / RETRY),
            proc=program,
            waitBetweenRetries=RETRY,
            label="default",
        )
        traci.switch("default")
        return traci

    def _require_whole_steps(self) -> None:
        step = self.sumo.simulation.getDeltaT()
        for name, time in (("control_interval", self.interval), ("yellow", self.yellow)):
            if abs(time / step - round(time / step)) > 1e-6:
                raise ValueError(
                    f"{name}={time:g} s is no multiple of its step of {step:g} s (options=--step-length)"
                )

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
            found = map(getattr(getattr(self.sumo, domain), function), ids)
            answer.extend(map(len, found) if function in OF_IDS else found)
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
        (folder, environment), timeout, setup = pipe.recv()
        os.chdir(folder)
        os.environ.update(environment)
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


# ---------------------------------------------------------------------- the template
Lives = dict[
    Connection, tuple[Connection, int]
]  # what ends with a child → whom to tell, and its id


def fork_children(control: socket.socket) -> Connection:
    """Fork a child for every request, until the process that sends them has ended. Returns in the child, with its pipe.

    Who asks is told the child's id, and later its exit code. A child holds the other end of a pipe of ours while it
    lives: so we wait for requests and for the ends of children at once, without signals.
    """
    lives: Lives = {}
    while True:
        for ready in wait([control, *lives]):
            if isinstance(ready, Connection):
                _bury(ready, *lives.pop(ready))
                continue
            _, files, *_ = socket.recv_fds(control, 1, 3)
            if not files:
                os._exit(0)
            if (pipe := _fork(files, lives)) is not None:
                control.close()
                return pipe


def _fork(files: Sequence[int], lives: Lives) -> Connection | None:
    """In the child, its pipe."""
    pipe, news, log = files
    life, held = os.pipe()
    pid = os.fork()
    with contextlib.suppress(OSError):  # both try, so that nobody is too early
        os.setpgid(pid, pid)  # traci starts another process, which has to end with this one
    if pid == 0:
        os.dup2(log, 2)  # errors; traci chats on 1
        for theirs in (life, log):  # and those of its siblings are closed with `lives`
            os.close(theirs)
        return Connection(pipe)
    told = Connection(news)
    lives[Connection(life)] = told, pid
    _tell(told, pid)
    for theirs in (pipe, held, log):
        os.close(theirs)
    return None


def _bury(life: Connection, told: Connection, pid: int) -> None:
    with life, told:
        _tell(told, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _tell(told: Connection, number: int) -> None:
    with contextlib.suppress(OSError):  # who asked may have gone
        told.send(number)


def main(control: int, module: str) -> None:
    """Import SUMO, and be the template; what is forked serves its simulation."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the parent's business
        signal.signal(number, signal.SIG_IGN)
    sys.modules["numpy"] = None  # type: ignore[assignment]  # sumolib does without, and is there sooner
    with contextlib.suppress(Exception):  # a child will try again, and tell
        importlib.import_module(module)
    serve(fork_children(socket.socket(fileno=control)))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
    os._exit(0)  # SUMO has closed its files; taking Python down takes longer than the rest
