"""Environments that fail in workers, which import this file: it imports nothing of Lightning."""

import multiprocessing
import os
import signal

from ilvf.envs import Encircle
from ilvf.errors import UsageError


class Forgetful(Encircle):
    """Environments whose state cannot be saved."""

    def __getattribute__(self, name):
        if name in ("get_state", "set_state"):
            raise AttributeError(name)
        return super().__getattribute__(name)


def in_worker():
    """Is this a process that another one has started?"""
    return multiprocessing.parent_process() is not None


def forgetful(**arguments):
    """Environments whose state cannot be saved."""
    return Forgetful(4, **arguments)


def deadly(**arguments):
    """Environments that kill a worker."""
    if in_worker():
        os.kill(os.getpid(), signal.SIGKILL)
    return Encircle(4, **arguments)


def broken(**arguments):
    """Environments that cannot be made in a worker."""
    if in_worker():
        raise ValueError("no license\nfor this machine")
    return Encircle(4, **arguments)


def refusing(**arguments):
    """Environments that are refused in a worker."""
    if in_worker():
        raise UsageError("this machine lacks the simulator")
    return Encircle(4, **arguments)
