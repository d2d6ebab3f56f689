"""Disks and folders that fail during a run, and several processes or checkpoints of one run."""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from drills.outcome import Drill, NotPossible, Record, Setting
from drills.program import Program
from drills.recorded import (
    Reference,
    checkpoint,
    last_line,
    require_checkpoints,
    require_complete,
    require_no_traceback,
    require_sentence,
    rows_of,
    run_folders,
)
from drills.runs import Kind, Runs, wait_for_rows
from drills.store_faults import LENGTHS

KIND = Kind("ilvf_p", iterations=60, eval_every=30)
REPLAY = Kind("qmix", iterations=60, eval_every=30)
DISK = "16m"  # size of the small disk


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


# ---------------------------------------------------------------------- an older checkpoint
def older_checkpoint(setting: Setting, record: Record) -> None:
    """A run goes back to an older checkpoint with another option: its metrics are the new ones."""
    runs = Runs(setting)
    short = Kind("ilvf_p", iterations=4)
    record.begin("resume an older checkpoint of the run with another learning rate")
    out = runs.new("older")
    short.start(setting, out).wait()
    run = run_folders(out)[-1]
    older = run / "checkpoints" / "older.ckpt"
    shutil.copy(run / "checkpoints" / "last.ckpt", older)
    elsewhere = runs.new("older-elsewhere")
    shutil.copy(older, elsewhere / "copy.ckpt")
    more = ["algorithm.lr=0.1", "trainer.max_epochs=8"]
    lines = {
        "first": (["resume=last", "trainer.max_epochs=8"], out),
        "again": ([f"resume={older}", *more], out),
        "copied": ([f"resume={elsewhere / 'copy.ckpt'}", *more], elsewhere),
    }
    codes = {}
    for name, (arguments, place) in lines.items():
        program = Program(["train", "ilvf_p", *arguments, f"out={place}"], place.parent / name)
        codes[name] = program.wait()
        require_no_traceback(record, program.output)
    if codes["again"] == 2:  # a refusal loses nothing
        return
    truth = {row["frames"]: row["loss/value"] for row in rows_of(run_folders(elsewhere)[-1])}
    found = {row["frames"]: row["loss/value"] for row in rows_of(run)}
    wrong = [frames for frames, value in truth.items() if found.get(frames) != value]
    record.lose(len(wrong), f"metrics.jsonl has the first run's numbers at {wrong}")


DRILLS = [
    Drill("full disk", full_disks, lambda sizes: 2, 20.0),
    Drill("run folder deleted", deleted_folders, lambda sizes: 2, 20.0),
    Drill("two processes resume one run", same_run_twice, lambda sizes: 3, 10.0),
    Drill("an older checkpoint with other options", older_checkpoint, lambda sizes: 1, 12.0),
]
