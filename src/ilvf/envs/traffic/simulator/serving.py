"""The process of one SUMO simulation: it answers one message per control step.

`template.py` starts it, and has the files of this folder as modules.
"""

import os
import signal
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from typing import Any

from sumo_process import Process, UnfitSimulationError


def serve(pipe: Connection, fork_simulations: Callable[[int], Connection]) -> None:
    """Answer requests until the pipe ends, as `answer_to` does.

    The first message has the working folder, the environment variables, the limits [s] of the first
    and of later answers, and the arguments of `Process`. A timer kills a hung simulation that has
    outlived its parent. It is not a thread: with a second thread SUMO's shared pointers become
    atomic, which costs a fifth of the speed.

    After the request `freeze` this process only forks itself, and each fork answers requests.

    Args:
        pipe: to the parent.
        fork_simulations: of `template.py`.
    """
    try:
        (folder, environment), (limit, later_limit), setup = pipe.recv()
    except (EOFError, OSError):
        return
    os.chdir(folder)  # an error is in the log
    os.environ.update(environment)
    process = Process(**setup)
    is_fork = False
    try:
        while True:
            name, argument = pipe.recv()
            if name == "freeze":
                control = recv_handle(pipe)
                pipe.close()
                pipe = fork_simulations(control)
                is_fork = True
                continue
            steps = len(argument[1]) if name == "replay" else 0
            is_fork &= name not in ("load", "replay")
            signal.setitimer(signal.ITIMER_REAL, 2 * (limit or 0) * (1 + steps))
            pipe.send(answer_to(process, name, argument))
            signal.setitimer(signal.ITIMER_REAL, 0)
            limit = later_limit
    except (EOFError, OSError):
        if not is_fork:  # the files of a forked episode are not its own
            process.close()


def answer_to(process: Process, name: str, argument: Sequence[Any]) -> tuple[str, Any]:
    """The answer to one request: a method of `Process` and its argument.

    Returns:
        ("done", numbers), ("unfit", why the simulation is not fit), or ("failed", SUMO's error).
    """
    try:
        return "done", getattr(process, name)(argument).tobytes()
    except UnfitSimulationError as error:
        return "unfit", str(error)
    except Exception as error:  # SUMO can raise anything
        return "failed", f"{error}" or type(error).__name__
