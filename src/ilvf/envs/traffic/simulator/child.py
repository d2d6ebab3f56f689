"""Processes below this one: a template that has imported SUMO, and one child per simulation.

A process holds one simulation, and importing SUMO takes a third of a second. The first simulation
therefore starts a template process, which forks itself for this and all later simulations. The
template ends with the process that started it. A fork of that process starts a template of its own.
If a template is killed, its children go on, and the next simulation starts a new template.

A child can become a template of its own, which forks copies of its simulation.
"""

import atexit
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from multiprocessing import Pipe
from multiprocessing.reduction import send_handle
from pathlib import Path
from typing import Any

GRACE = 5.0  # [s] for SUMO to write its files and end
KILLED_BY = (signal.SIGKILL, signal.SIGALRM)  # of others, and its own timer, see `serving.py`
PROGRAM = Path(__file__).with_name("template.py")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
TRACI_SWITCHES = ("LIBSUMO_AS_TRACI", "LIBTRACI_AS_TRACI")  # they make traci another module
VAGUE_ERRORS = (  # the log of SUMO says more
    "Process Error",
    "Could not parse",
    "TraCI server already finished",
    "Could not connect",
    "Connection closed by SUMO",
    "vehicle cannot be created",
    "TraCIException",  # without a text
)
ERROR = re.compile(r"^\s*Error:", re.MULTILINE)  # begins an error of SUMO in the log
ENDING = "Quitting (on error)."  # SUMO's last words


# ---------------------------------------------------------------------- the template
class Forker(ABC):
    """A process that forks on request, see `fork_children` in `template.py`.

    It ends when the socket `control` is closed.
    """

    control: socket.socket

    def fork(self, files: Sequence[int]) -> None:
        """Request a child with three files: its pipe, the pipe for its status, its log."""
        with contextlib.suppress(OSError):  # the process is dead; the child's pipes will end
            socket.send_fds(self.control, [b"+"], files)

    @abstractmethod
    def end(self) -> None:
        """End the process."""


class Template(Forker):
    """The process that has imported SUMO.

    Args:
        module: what it imports: `libsumo` or `traci`.
    """

    def __init__(self, module: str):
        self.control, theirs = socket.socketpair()
        options = ["-P", "-Wignore"]  # -P: do not import modules from the program's folder
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, *options, str(PROGRAM), str(theirs.fileno()), module],
                env=template_environment(module),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C reaches only this process
            )

    def end(self) -> None:
        """End the process. In a fork of its parent this has no effect on it."""
        self.control.close()
        self.process.kill()
        self.process.wait()


def template_environment(module: str) -> dict[str, str]:
    """Environment variables of a template: one thread, and the requested module."""
    environment = dict(os.environ)
    for name in TRACI_SWITCHES:
        environment.pop(name, None)
    for name in THREADS:  # a second thread makes SUMO slower, see `serve`
        environment[name] = "1"
    if module == "libsumo":
        # Without it, libsumo prints comments on other packages. It would turn traci into libsumo.
        environment["LIBSUMO_AS_TRACI"] = "quiet"
    return environment


templates: dict[str, Template] = {}  # by the module that they have imported


def get_ready(module: str) -> Template:
    """The template of a module; started unless it runs.

    In a fork of this process the template is not a child, so it counts as ended and is replaced.
    """
    if module in templates and templates[module].process.poll() is not None:
        templates.pop(module).end()
    if module not in templates:
        templates[module] = Template(module)
    return templates[module]


@atexit.register
def end_templates() -> None:
    """End all templates."""
    while templates:
        _, template = templates.popitem()
        template.end()


def name_of_signal(number: int) -> str:
    """The name of a signal; real-time signals have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


# ---------------------------------------------------------------------- a child
class Child:
    """The process of one simulation.

    Args:
        template: forks it.

    Attributes:
        pipe: our end of the pipe to it.
        log: what it prints, in a file without a name.
    """

    def __init__(self, template: Forker) -> None:
        self.owner = os.getpid()
        self.log = tempfile.TemporaryFile()  # noqa: SIM115
        self.pipe, pipe = Pipe()
        self._status, status = Pipe(duplex=False)
        self._received: list[int | None] = []  # see `_status_message`
        with pipe, status:
            self.template = template
            self.template.fork([pipe.fileno(), status.fileno(), self.log.fileno()])

    @property
    def pid(self) -> int | None:
        """Its process id; None if it was never forked."""
        return self._status_message(0)

    def _status_message(self, index: int) -> int | None:
        """The template's message 0, the child's id, or 1, its exit code.

        Returns:
            None if the message does not come within `GRACE` seconds or the template has died.
        """
        while len(self._received) <= index and self._status.poll(GRACE):
            try:
                self._received.append(self._status.recv())
            except (EOFError, OSError):
                # The child holds this pipe too, so neither it nor the template lives.
                self._received.append(None)
                self.template.end()
        return self._received[index] if index < len(self._received) else None

    def _has_ended(self) -> bool:
        """Whether it ends within `GRACE` seconds."""
        self._status_message(1)
        return len(self._received) > 1

    @property
    def is_alive(self) -> bool:
        """Whether its end has not been reported yet."""
        return self.pid is not None and not self._status.poll(0)

    def send(self, message: Any) -> None:
        """Send a message; if the process is dead, reading the answer will tell."""
        with contextlib.suppress(OSError):
            self.pipe.send(message)

    def freeze(self) -> "Frozen":
        """Let it become a template of its simulation, which stays as it is."""
        return Frozen(self)

    # ------------------------------------------------------------------ its end
    def describe_end(self) -> str:
        """What happened to a process whose pipe has ended, as the end of a sentence."""
        if self.pid is None:
            return "was not started, perhaps for lack of memory"
        code = self._status_message(1)
        if code is None:
            return "closed its pipe"
        if code < 0:
            hint = " (the system does that when memory runs out)" if code == -signal.SIGKILL else ""
            return f"was killed by {name_of_signal(-code)}{hint}"
        return f"ended with exit code {code}: {self._logged_error() or 'it did not say why'}"

    def explain(self, error: str) -> str:
        """SUMO's error in one line. Where it is vague, the log has the cause."""
        logged = self._logged_error() if error.startswith(VAGUE_ERRORS) else ""
        return " ".join((logged or error).split())

    def last_words(self) -> str:
        """The error that SUMO logged before it ended or crashed; "" if it was killed.

        SUMO's own program logs that its connection is lost when the child has been killed.
        """
        code = self._status_message(1)
        killed = code is not None and -code in KILLED_BY
        return "" if killed else self.sumo_error()

    def sumo_error(self) -> str:
        """The first error that SUMO has logged, in one line; "" if there is none."""
        _, *errors = ERROR.split(self._log_text())
        error = errors[0] if errors else ""
        return " ".join(error.split()).removesuffix(ENDING).strip()

    def _logged_error(self) -> str:
        """The first error in the log, or else its last line."""
        return self.sumo_error() or self._log_text().rpartition("\n")[2]

    def _log_text(self) -> str:
        self.log.seek(0)
        return self.log.read().decode(errors="replace").strip()

    def end(self) -> None:
        """Let it close its files, and kill it if that takes longer than `GRACE` seconds."""
        if os.getpid() != self.owner:  # in a fork, where the process belongs to the parent
            return
        self.pipe.close()  # it ends when its pipe does
        if not self._has_ended():
            self.kill()
        self._status.close()
        self.log.close()

    def kill(self) -> None:
        """Kill it and the processes that it has started, and a template that does not respond."""
        if self.pid is not None:
            with contextlib.suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)
        if not self._has_ended():
            self.template.end()


class Frozen(Forker):
    """A simulation that stays in its state, and whose forks go on from there.

    Args:
        child: its process, which answers no more requests.
    """

    def __init__(self, child: Child) -> None:
        self.child = child
        self.control, theirs = socket.socketpair()
        with theirs, contextlib.suppress(OSError):  # if it is dead, its forks will be
            child.pipe.send(("freeze", None))
            send_handle(child.pipe, theirs.fileno(), None)

    @property
    def is_alive(self) -> bool:
        """Whether it can fork."""
        return self.child.is_alive

    def end(self) -> None:
        """End the process; its forks go on."""
        self.control.close()
        self.child.end()
