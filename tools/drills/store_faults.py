"""Stores and servers that fail during a run: the store is complete after the next start."""

import contextlib
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from drills.outcome import Drill, NotPossible, Record, Setting
from drills.program import Program
from drills.recorded import (
    Reference,
    require_checkpoints,
    require_history,
    require_no_traceback,
    require_rows,
    require_sentence,
    run_folders,
)
from drills.runs import Kind, Runs, wait_for_rows

KIND = Kind("ilvf_p", iterations=60, eval_every=30)
Fault = Callable[[Path], AbstractContextManager[None]]  # of the folder of runs


# ---------------------------------------------------------------------- faults of the store
@contextlib.contextmanager
def moved(out: Path) -> Iterator[None]:
    """The store is moved away."""
    store = out / "mlflow.db"
    away = out / "away.db"
    store.rename(away)
    try:
        yield
    finally:
        away.replace(store)


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Another connection holds the store's lock."""
    with contextlib.closing(sqlite3.connect(out / "mlflow.db", timeout=30)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.rollback()


@contextlib.contextmanager
def folder_instead(out: Path) -> Iterator[None]:
    """A folder is where the store was."""
    store = out / "mlflow.db"
    away = out / "away.db"
    store.rename(away)
    store.mkdir()
    try:
        yield
    finally:
        store.rmdir()
        away.rename(store)


@contextlib.contextmanager
def garbage_instead(out: Path) -> Iterator[None]:
    """A file that is no database is where the store was."""
    store = out / "mlflow.db"
    away = out / "away.db"
    store.rename(away)
    store.write_text("no database\n" * 1000)
    try:
        yield
    finally:
        away.replace(store)


@contextlib.contextmanager
def read_only(out: Path) -> Iterator[None]:
    """The store cannot be written, not even by root."""
    store = str(out / "mlflow.db")
    if subprocess.run(["chattr", "+i", store], capture_output=True).returncode:
        raise NotPossible("this file system has no immutable files")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", store], check=True)


STORE_FAULTS: Mapping[str, Fault] = {
    "moved away": moved,
    "locked": locked,
    "replaced by a folder": folder_instead,
    "replaced by garbage": garbage_instead,
    "read-only": read_only,
}
LENGTHS = {"seconds": 2.0, "until after the end": None}  # of a fault


def store_faults(setting: Setting, record: Record) -> None:
    """Each fault for some seconds, and until the run has ended."""
    runs = Runs(setting)
    reference = runs.reference(KIND)
    for name, fault in STORE_FAULTS.items():
        for length, seconds in LENGTHS.items():
            record.begin(f"the store is {name}, {length}")
            out = runs.new(f"store-{name}-{length}".replace(" ", "-"))
            try:
                one_fault(setting, record, out, fault, seconds)
            except NotPossible as error:
                record.notes.append(f"{record.case}: not tried, {error}")
                continue
            require_recovered(record, out, reference)


def one_fault(
    setting: Setting, record: Record, out: Path, fault: Fault, seconds: float | None
) -> None:
    """A run with a fault in the middle; it ends with exit code 0."""
    program = KIND.start(setting, out)
    try:
        if not wait_for_rows(program, out, 10, record):
            return
        with fault(out):
            if seconds is None:
                program.wait()
            else:
                time.sleep(seconds)
        code = program.wait()
    finally:
        program.end()
    record.require(code == 0, f"exit code {code}: {program.output[-400:]}")
    require_no_traceback(record, program.output)


def require_recovered(record: Record, out: Path, reference: Reference) -> None:
    """Metrics and checkpoints are complete, and the store after one more iteration."""
    run = run_folders(out)[-1]
    require_rows(record, run, reference)
    require_checkpoints(record, run, reference)
    one_more_iteration(record, out)
    require_history(record, run)


def one_more_iteration(record: Record, out: Path) -> None:
    """Resume a finished run, which sends what the store lacks."""
    more = ["resume=last", f"out={out}", f"trainer.max_epochs={KIND.iterations + 1}"]
    program = Program(["train", "ilvf_p", *more], out.parent / "more.log")
    record.require(program.wait() == 0, f"{program.command}: {program.output[-400:]}")


def deleted_store(setting: Setting, record: Record) -> None:
    """The store is deleted; the next start makes a new one with all iterations."""
    runs = Runs(setting)
    reference = runs.reference(KIND)
    record.begin("the store is deleted in mid-run")
    out = runs.new("store-deleted")
    program = KIND.start(setting, out)
    if wait_for_rows(program, out, 10, record):
        (out / "mlflow.db").unlink()
        record.require(program.wait() == 0, f"exit code {program.code}: {program.output[-400:]}")
        require_recovered(record, out, reference)


# ---------------------------------------------------------------------- servers
@contextlib.contextmanager
def port(listening: bool) -> Iterator[str]:
    """Address of a port that nobody listens on, or where a connection gets no answer."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        if listening:
            bound.listen()
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def servers(setting: Setting, record: Record) -> None:
    """A server that is not there, or does not answer: one sentence before anything begins."""
    runs = Runs(setting)
    commands = {
        "train": lambda out: KIND.arguments(setting, out),
        "compare": lambda out: ["compare", f"out={out}"],
    }
    for listening in (False, True):
        for name, arguments in commands.items():
            record.begin(f"{name}, {'silent server' if listening else 'closed port'}")
            out = runs.new(f"server-{name}-{listening}")
            with port(listening) as address:
                given = {"MLFLOW_TRACKING_URI": address}
                program = Program(arguments(out), out.parent / "log", given)
                record.require(program.wait(60) == 2, f"exit code {program.code}")
            require_sentence(record, program.output, "cannot be reached")
            record.require(not run_folders(out), "a run folder was made")


DRILLS = [
    Drill("store moved, locked, replaced, read-only", store_faults, lambda sizes: 10, 18.0),
    Drill("store deleted", deleted_store, lambda sizes: 1, 20.0),
    Drill("server that does not answer", servers, lambda sizes: 4, 6.0),
]
