"""The real program `ilvf` in processes of its own.

Most drills start the program from a server process that has imported it already and forks, which
saves the seconds of the imports. `fresh=True` starts a new interpreter instead, as a user does.
"""

import atexit
import contextlib
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MAIN = ROOT / "src" / "ilvf" / "__main__.py"
PATIENCE = 240.0  # [s] after which a process counts as hanging
MEMORY = 12 * 2**30  # [bytes] of address space, so that a drill cannot exhaust the machine
PRELOADED = "drills.preload"  # module that the server imports
REMOVED = ("MLFLOW_TRACKING_URI", "ILVF_RUN_DIR", "ILVF_RESUMED", "LOCAL_RANK")
FORKS = multiprocessing.get_context("forkserver")


class Program:
    """`ilvf ARGUMENTS` in a process and session of its own.

    Args:
        arguments: of the command line.
        log: file that standard output and error are written to.
        environment: more environment variables.
        fresh: start a new interpreter.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        fresh: bool = False,
    ):
        self.arguments = list(arguments)
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        log.unlink(missing_ok=True)
        start = self._start_fresh if fresh else self._start_fork
        self.process: Any = start(dict(environment or {}))
        self.pid: int = self.process.pid

    def _start_fresh(self, environment: dict[str, str]) -> Any:
        with self.log.open("wb") as file:
            return subprocess.Popen(
                [sys.executable, str(MAIN), *self.arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **environment},
                cwd=self.log.parent,
                start_new_session=True,
                preexec_fn=limit_memory,
            )

    def _start_fork(self, environment: dict[str, str]) -> Any:
        call = (self.arguments, str(self.log), environment)
        process = FORKS.Process(target=run_program, args=call)
        process.start()
        return process

    @property
    def running(self) -> bool:
        """Has the process not ended yet?"""
        return self.code is None

    @property
    def code(self) -> int | None:
        """The exit code, negative for a signal; None while the process runs."""
        if isinstance(self.process, subprocess.Popen):
            return self.process.poll()
        return self.process.exitcode

    @property
    def output(self) -> str:
        """What was printed so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    @property
    def command(self) -> str:
        """The command, to reproduce it; long arguments are shortened."""
        return " ".join(["ilvf", *(shortened(word) for word in self.arguments)])

    def send(self, number: int) -> None:
        """Send a signal, if the process still runs."""
        if self.running:
            os.kill(self.pid, number)

    def wait(self, patience: float = PATIENCE) -> int | None:
        """The exit code; None if the process had to be stopped after `patience` seconds."""
        wait_for(lambda: not self.running, self, patience)
        code = self.code
        self.end()
        return code

    def end(self) -> None:
        """Kill the process and everything that it has started.

        While a group has members its number is not given to a new process. If the program has
        ended and a process has its number, that is a stranger's.
        """
        if not self.running and Path(f"/proc/{self.pid}").exists():
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.send(signal.SIGKILL)  # a fork that has no group of its own yet
        wait_for(lambda: not self.running, None, 10.0)


def shortened(word: str) -> str:
    """An argument of at most 200 characters."""
    return word if len(word) <= 200 else f"{word[:80]}...({len(word)} characters)"


def wait_for(condition: Callable[[], bool], program: Program | None, patience: float) -> bool:
    """Wait until `condition` holds or the program has ended; whether it holds."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if condition():
            return True
        if program is not None and not program.running:
            return condition()
        time.sleep(0.003)
    return False


def start_server() -> None:
    """Prepare the environment of all programs; the server starts with the first of them."""
    for name in REMOVED:
        os.environ.pop(name, None)
    os.environ["OMP_NUM_THREADS"] = "1"
    paths = [str(ROOT / "tools"), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    os.environ["PYTHONWARNINGS"] = "ignore::UserWarning:multiprocessing.resource_tracker"
    FORKS.set_forkserver_preload(["__main__", PRELOADED])


# ---------------------------------------------------------------------- in the new process
def limit_memory() -> None:
    """Limit the address space of this process."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def run_program(arguments: Sequence[str], log: str, environment: Mapping[str, str]) -> None:
    """Become `ilvf ARGUMENTS`; `load_policy PATH` calls the library's function instead."""
    os.setsid()
    os.chdir(Path(log).parent)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ.update(environment)
    limit_memory()
    sys.argv = [str(MAIN), *arguments]
    try:
        if arguments[:1] == ["load_policy"]:
            load_policy(arguments[1])
        else:
            from ilvf.commands.cli import main

            main()
    finally:
        atexit._run_exitfuncs()  # a process of multiprocessing ends without them


def load_policy(path: str) -> None:
    """`ilvf.load_policy`, with the sentence of its error as the commands print it."""
    import ilvf
    from ilvf.errors import run_recipe

    run_recipe(lambda: ilvf.load_policy(path))
