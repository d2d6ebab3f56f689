"""The processes below this one: a template that has imported SUMO, and a child of it for every simulation.

The import takes a third of a second, and a process holds one simulation. So the first simulation starts a template,
which forks itself for every child and stays for the next ones. It ends with the process that it belongs to; a fork of
that process starts its own. If it is killed, its children go on, and the next one gets a new template.
"""

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

GRACE = 5.0  # [s] for SUMO to write its files and end
VAGUE = (  # errors of which the log knows more
    "Process Error",
    "Could not parse",
    "TraCI server already finished",
    "Could not connect",
    "Connection closed by SUMO",
)
PROGRAM = Path(__file__).with_name("sumo_process.py")


class Template:
    """A process that forks when we ask: `fork_children` in `sumo_process.py`. It ends when `control` does."""

    def __init__(self, module: str):
        self.control, theirs = socket.socketpair()
        python = [sys.executable, "-P", "-Wignore"]  # -P: no modules from the folder of the program
        with theirs:
            self.process = subprocess.Popen(
                [*python, str(PROGRAM), str(theirs.fileno()), module],
                env=_environment(module),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is our business
            )

    def fork(self, files: Sequence[int]) -> None:
        """Ask for a child with these files: its pipe, the pipe for what the template knows of it, its log."""
        with contextlib.suppress(OSError):  # it is dead, so that the child's pipes end
            socket.send_fds(self.control, [b"+"], files)

    def end(self) -> None:
        self.control.close()
        self.process.kill()  # unless it is somebody else's, in a fork
        self.process.wait()


def _environment(module: str) -> dict[str, str]:
    single = dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
    )  # see `serve`
    environment = {
        k: v for k, v in os.environ.items() if k not in ("LIBSUMO_AS_TRACI", "LIBTRACI_AS_TRACI")
    } | single
    if module == "libsumo":
        environment["LIBSUMO_AS_TRACI"] = (
            "quiet"  # else it comments on other packages; it makes traci be libsumo
        )
    return environment


templates: dict[str, Template] = {}  # by what they have imported, `libsumo` or `traci`


def get_ready(module: str) -> Template:
    """The template, started unless there is one; in a fork, where it is somebody else's child, it counts as ended."""
    if module in templates and templates[module].process.poll() is not None:
        templates.pop(module).end()
    if module not in templates:
        templates[module] = Template(module)
    return templates[module]


@atexit.register
def _end_templates() -> None:
    while templates:
        templates.popitem()[1].end()


class Child:
    """The process of one simulation, our end of its pipe, and what it prints, in a file without a name."""

    def __init__(self, module: str) -> None:
        self.owner, self.log = os.getpid(), tempfile.TemporaryFile()
        self.pipe, pipe = Pipe()
        self._news, news = Pipe(duplex=False)  # its id, and its exit code when it has ended
        self._heard: list[int | None] = []  # None if the template has died before
        with pipe, news:
            self.template = get_ready(module)
            self.template.fork([pipe.fileno(), news.fileno(), self.log.fileno()])

    @property
    def pid(self) -> int | None:
        """None if it was never forked."""
        return self._hear(0)

    def _hear(self, which: int) -> int | None:
        """The template's first or second message, if it comes in time."""
        while len(self._heard) <= which and self._news.poll(GRACE):
            try:
                self._heard.append(self._news.recv())
            except (
                EOFError,
                OSError,
            ):  # the child holds this pipe, too: neither it nor the template lives
                self._heard.append(None)
                self.template.end()
        return self._heard[which] if which < len(self._heard) else None

    def _has_ended(self) -> bool:
        """Or will in time."""
        self._hear(1)
        return len(self._heard) > 1

    def send(self, message: Any) -> None:
        with contextlib.suppress(OSError):  # it is dead, which `read` will find
            self.pipe.send(message)

    def fate(self) -> str:
        """What happened to a process whose pipe has ended."""
        if self.pid is None:
            return "was not started, perhaps for lack of memory"
        code = self._hear(1)
        if code is None:
            return "closed its pipe"
        if code < 0:
            hint = " (the system does that when memory runs out)" if code == -signal.SIGKILL else ""
            return f"was killed by {signal.Signals(-code).name}{hint}"
        return f"ended with exit code {code}: {self._last_words() or 'it did not say why'}"

    def explain(self, error: str) -> str:
        """SUMO's error in one line; it often tells only its log what is wrong."""
        known = self._last_words() if error.startswith(VAGUE) else ""
        return " ".join((known or error).split())

    def _last_words(self) -> str:
        """Its first error, or the last line."""
        self.log.seek(0)
        said = self.log.read().decode(errors="replace").strip()
        return said.split("Error:")[1].strip() if "Error:" in said else said.rpartition("\n")[2]

    def end(self) -> None:
        """Let it close its files, and kill it if that takes too long."""
        if os.getpid() != self.owner:  # this is a fork, in which it is somebody else's
            return
        self.pipe.close()  # what it is waiting for
        if not self._has_ended():
            self.kill()
        self._news.close()
        self.log.close()

    def kill(self) -> None:
        """Kill it and what it has started; also a template that does not notice."""
        if self.pid is not None:
            with contextlib.suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)
        if not self._has_ended():
            self.template.end()
