"""Stores, disks and folders that fail during a run, and processes that want the same run."""

import contextlib
import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from drills.outcome import Drill, Record, Setting
from drills.program import Program
from drills.recorded import (
    Reference,
    checkpoint,
    last_line,
    require_checkpoints,
    require_complete,
    require_history,
    require_no_traceback,
    require_rows,
    require_sentence,
    rows_of,
    run_folders,
)
from drills.runs import Kind, Runs, wait_for_rows

KIND = Kind("ilvf_p", iterations=60, eval_every=30)
REPLAY = Kind("qmix", iterations=60, eval_every=30)
DISK = "16m"  # size of the small disk
Fault = Callable[[Path], AbstractContextManager[None]]  # of the folder of runs


class NotPossible(Exception):
    """This machine does not allow the fault, for example because it needs root."""


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


# ---------------------------------------------------------------------- disks and folders
@contextlib.contextmanager
def small_disk(path: Path) -> Iterator[None]:
    """A small disk at `path`."""
    path.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(path)]
    if subprocess.run(mount, capture_output=True).returncode:
        raise NotPossible("mounting a small disk needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


@contextlib.contextmanager
def full(out: Path) -> Iterator[None]:
    """The disk of `out` is full."""
    ballast = out / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(65536))
    with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as file:
        while True:
            file.write(b"0")
    try:
        yield
    finally:
        ballast.unlink()


def full_disks(setting: Setting, record: Record) -> None:
    """The disk is full for seconds, and until the run has ended."""
    runs = Runs(setting)
    for length, seconds in LENGTHS.items():
        record.begin(f"full, {length}")
        try:
            with small_disk(setting.folder / "disk"):
                one_full_disk(runs, record, seconds)
        except NotPossible as error:
            record.notes.append(f"{record.case}: not tried, {error}")


def one_full_disk(runs: Runs, record: Record, seconds: float | None) -> None:
    """A run on the small disk, which equals the uninterrupted one in the end."""
    reference = runs.reference(KIND)
    out = runs.setting.folder / "disk" / "runs"
    out.mkdir()
    shutil.copy(runs.store, out / "mlflow.db")
    arguments = KIND.arguments(runs.setting, out)
    program = Program(arguments, runs.setting.folder / "disk-first.log")
    if not wait_for_rows(program, out, 10, record):
        return
    with full(out):
        if seconds is None:
            program.wait()
        else:
            time.sleep(seconds)
    code = program.wait()
    require_no_traceback(record, program.output)
    if seconds is None:
        record.require(code == 2, f"exit code {code}: {last_line(program.output)}")
        require_sentence(record, program.output, "could not be written")
        more = Program(["train", "ilvf_p", "resume=last", f"out={out}"], out.parent / "more.log")
        record.require(more.wait() == 0, f"{more.command}: {more.output[-400:]}")
    else:
        record.require(code == 0, f"exit code {code}: {program.output[-400:]}")
    require_complete(record, run_folders(out)[-1], reference)


def deleted_folders(setting: Setting, record: Record) -> None:
    """The run's folder is deleted in mid-run: what follows is kept."""
    runs = Runs(setting)
    for kind in (KIND, REPLAY):
        reference = runs.reference(kind)
        record.begin(f"{kind.algorithm}: the run's folder is deleted")
        out = runs.new(f"deleted-{kind.algorithm}")
        program = kind.start(setting, out)
        if not wait_for_rows(program, out, 10, record):
            continue
        run = run_folders(out)[-1]
        shutil.rmtree(run, ignore_errors=True)
        record.require(program.wait() == 0, f"exit code {program.code}: {program.output[-500:]}")
        require_no_traceback(record, program.output)
        rows = rows_of(run)
        tail = [row["frames"] for row in reference.rows[-len(rows) :]]
        found = [row["frames"] for row in rows]
        record.lose(int(found != tail), f"rows after the deletion: {found}, not {tail}")
        record.require(len(rows) > 30, f"only {len(rows)} rows after the deletion")
        require_checkpoints(
            record, run, Reference(reference.rows, {"last": reference.weights["last"]})
        )


# ---------------------------------------------------------------------- two processes
def same_run_twice(setting: Setting, record: Record) -> None:
    """Two processes resume one run at the same moment: one trains, the other is refused."""
    runs = Runs(setting)
    kind = Kind("ilvf_p", iterations=12)
    reference = runs.reference(kind)
    for k in range(3):
        record.begin(f"two processes resume one run, {k + 1}")
        out = runs.new(f"twice-{k}")
        first = kind.start(setting, out)
        if not wait_for_rows(first, out, 4, record):
            continue
        first.send(9)
        first.wait()
        checkpoint(run_folders(out)[-1])
        programs = [kind.resume(out, f"resumed-{name}") for name in ("a", "b")]
        codes = sorted(str(program.wait()) for program in programs)
        record.require(codes == ["0", "2"], f"exit codes {codes}")
        for program in programs:
            if program.code == 2:
                require_sentence(record, program.output, "is being trained by process")
        require_complete(record, run_folders(out)[-1], reference)


DRILLS = [
    Drill("store moved, locked, replaced, read-only", store_faults, lambda sizes: 10, 18.0),
    Drill("store deleted", deleted_store, lambda sizes: 1, 20.0),
    Drill("server that does not answer", servers, lambda sizes: 4, 6.0),
    Drill("full disk", full_disks, lambda sizes: 2, 20.0),
    Drill("run folder deleted", deleted_folders, lambda sizes: 2, 20.0),
    Drill("two processes resume one run", same_run_twice, lambda sizes: 3, 10.0),
]
