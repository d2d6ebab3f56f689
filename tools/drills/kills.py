"""`kill -9` at random moments; the run is resumed, and equals an uninterrupted run."""

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from drills.outcome import Drill, Record, Setting
from drills.program import Program
from drills.recorded import (
    checkpoint,
    require_complete,
    require_sentence,
    rows_of,
    run_folders,
    status_of,
)
from drills.runs import FRAMES, Kind, Runs, wait_for_rows

ILVF = Kind("ilvf_p", iterations=12)
QMIX = Kind("qmix", iterations=12)
MOST_KILLS = 3  # of one run
Logged = dict[tuple[str, float], dict[str, float]]


def drill(kind: Kind) -> Callable[[Setting, Record], None]:
    """The drill of a kind of run."""

    def run(setting: Setting, record: Record) -> None:
        runs = Runs(setting)
        rng = setting.rng(record.title)
        runs.reference(kind)
        for number in range(number_of_kills(kind, setting)):
            kills = rng.randint(1, MOST_KILLS)
            record.begin(f"{kind.algorithm}, run {number + 1}, {kills} kills")
            out = runs.new(f"kill-{kind.algorithm}-{number}")
            kill_and_resume(kind, runs, record, out, [moment(rng, kind) for _ in range(kills)])

    return run


def number_of_kills(kind: Kind, setting: Setting) -> int:
    """Runs that are killed: QMIX gets a quarter of ILVF-P's."""
    kills = int(setting.sizes["kills"])
    return kills if kind == ILVF else -(-kills // 4)


def moment(rng: random.Random, kind: Kind) -> tuple[int, float]:
    """(iterations to wait for, part of an iteration to wait then), also before and after all."""
    return rng.randint(0, kind.iterations), rng.uniform(0, 1.5)


def kill_and_resume(
    kind: Kind, runs: Runs, record: Record, out: Path, moments: list[tuple[int, float]]
) -> None:
    """Kill a run at these moments, in their order; resume it each time, at last until its end."""
    program: Program | None = kind.start(runs.setting, out)
    before: Logged = {}
    for count, part in sorted(moments):
        if program is None or not wait_for_rows(program, out, count, record):
            break
        time.sleep(part * runs.seconds(kind))
        program.send(signal.SIGKILL)
        record.require(program.wait() in (-9, 0), f"ended with {program.code}")
        record.case += f", at row {count} + {part:.2f}"
        before = {**logged(out), **before}
        program = next_program(kind, runs, record, out)
    if program is not None:
        record.require(program.wait() == 0, f"{program.command}: {program.output[-400:]}")
    require_kept(record, out, before)
    run = run_folders(out)[-1]
    require_complete(record, run, runs.reference(kind))
    status = status_of(out / "mlflow.db", checkpoint(run)["ilvf"]["run"])
    if status != "FINISHED":
        record.notes.append(f"{record.case}: killed after its last iteration, stays {status}")


def next_program(kind: Kind, runs: Runs, record: Record, out: Path) -> Program | None:
    """The program that goes on after a kill; None if all iterations were done."""
    run = run_folders(out)[-1] if run_folders(out) else None
    if run is None or not (run / "checkpoints" / "last.ckpt").exists():
        refused = kind.resume(out, "refused")
        record.require(refused.wait() == 2, f"{refused.command} ended with {refused.code}")
        require_sentence(record, refused.output, "checkpoint")
        set_aside(out)
        return kind.start(runs.setting, out)
    if checkpoint(run)["ilvf"]["state"]["frames"] == kind.iterations * FRAMES:
        ended = kind.resume(out, "ended")
        if ended.wait() == 0:  # it was killed before its end was recorded, which is done now
            record.require("has done" in ended.output, f"no note of {ended.command}")
            return None
        record.require(ended.code == 2, f"{ended.command} ended with {ended.code}")
        require_sentence(record, ended.output, "has done")
        return None
    return kind.resume(out)


def set_aside(out: Path) -> None:
    """Move a run without a checkpoint away: it has nothing to resume."""
    for folder in run_folders(out):
        folder.rename(out.parent / f"ended-{folder.name}")


def logged(out: Path) -> Logged:
    """(run, frames) → row, of the newest run below `out`."""
    folders = run_folders(out)[-1:]
    return {(run.name, row["frames"]): row for run in folders for row in rows_of(run)}


def require_kept(record: Record, out: Path, before: Logged) -> None:
    """Rows that the run had before the kills are unchanged, clock included."""
    after = logged(out)
    runs = {name for name, _ in after}
    changed = []
    for key, row in before.items():
        if key[0] in runs and str(after.get(key)) != str(row):
            changed.append(key[1])
    record.lose(len(changed), f"logged before the kill, changed or missing after it: {changed}")


DRILLS = [
    Drill("kill -9 of ILVF-P", drill(ILVF), lambda sizes: int(sizes["kills"]), 12.0),
    Drill("kill -9 of QMIX", drill(QMIX), lambda sizes: -(-int(sizes["kills"]) // 4), 12.0),
]
