"""The template process: it imports SUMO once and forks itself for every simulation.

A simulation can become a template too: each fork of it goes on from the same state.

`child.py` runs this file as a script, outside the package, so that it starts without torch.
"""

import contextlib
import fcntl
import importlib
import os
import signal
import socket
import stat
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait

# A pipe that ends with a child → the pipe to whom asked for the child, and the child's id.
Children = dict[Connection, tuple[Connection, int]]

# What tells the parent that this process lives, which its own forks must not hold.
signs_of_life: list[int] = []


def fork_children(control: socket.socket) -> Connection:
    """Fork a child for every request until the requesting process has ended.

    A request comes with three files: the child's pipe to its parent, the pipe for its status, and
    its log. The status pipe first gets the child's id, and later its exit code. To notice the end
    of a child without signals, each child holds one end of a pipe of ours while it lives.

    Returns:
        In a child, its pipe. The template itself exits.
    """
    children: Children = {}
    while True:
        for ready in wait([control, *children]):
            if isinstance(ready, Connection):
                report_end(ready, *children.pop(ready))
                continue
            _, files, *_ = socket.recv_fds(control, 1, 3)
            if not files:
                os._exit(0)
            pipe = fork_child(files, children)
            if pipe is not None:
                control.close()
                return pipe


def fork_child(files: Sequence[int], children: Children) -> Connection | None:
    """Fork one child. Returns its pipe in the child, and None in the template."""
    pipe, status, log = files
    our_end, childs_end = os.pipe()
    pid = os.fork()
    # The child leads a process group, because traci starts SUMO as one more process that must end
    # with it. Both sides set the group, so that it exists whichever of them runs first.
    with contextlib.suppress(OSError):
        os.setpgid(pid, pid)
    if pid == 0:
        os.dup2(log, 2)  # errors; traci prints other things to standard output
        os.close(our_end)
        os.close(log)
        for other, (other_status, _) in children.items():  # belong to other children
            other.close()
            other_status.close()
        children.clear()
        for number in signs_of_life:
            os.close(number)
        signs_of_life[:] = [childs_end, status]
        return Connection(pipe)
    told = Connection(status)
    children[Connection(our_end)] = (told, pid)
    send(told, pid)
    os.close(pipe)
    os.close(childs_end)
    os.close(log)
    return None


def report_end(ended: Connection, status: Connection, pid: int) -> None:
    """Wait for a child that is ending, and send its exit code."""
    with ended, status:
        _, code = os.waitpid(pid, 0)
        send(status, os.waitstatus_to_exitcode(code))


def send(status: Connection, number: int) -> None:
    """Send a number to a process that may have ended."""
    with contextlib.suppress(OSError):
        status.send(number)


def fork_simulations(control: int) -> Connection:
    """Become the template of this process's simulation; see `fork_children`.

    A fork shares the positions in open files with the others. It therefore opens files that are
    read once more, at the same position: SUMO reads routes while it simulates. What it writes is
    thrown away.
    """
    pipe = fork_children(socket.socket(fileno=control))
    for number in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):  # the listing's own file is closed
            if number > 2 and stat.S_ISREG(os.fstat(number).st_mode):
                separate(number)
    return pipe


def separate(number: int) -> None:
    """Make an open file independent of other processes."""
    reads = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    name = f"/proc/self/fd/{number}" if reads else os.devnull
    own = os.open(name, os.O_RDONLY if reads else os.O_WRONLY)
    if reads:
        os.lseek(own, os.lseek(number, 0, os.SEEK_CUR), os.SEEK_SET)
    os.dup2(own, number)
    os.close(own)


def main(control: int, module: str) -> None:
    """Import SUMO and become the template; a forked child returns here and runs its simulation."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the parent handles them
        signal.signal(number, signal.SIG_IGN)
    sys.modules["numpy"] = None  # type: ignore[assignment]  # sumolib works, and starts sooner
    with contextlib.suppress(Exception):  # a child imports it again and reports the error
        importlib.import_module(module)
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    importlib.import_module("generators")
    from serving import serve

    sys.path.pop(0)
    serve(fork_children(socket.socket(fileno=control)), fork_simulations)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
    os._exit(0)  # SUMO has closed its files; ending Python properly would take longer
