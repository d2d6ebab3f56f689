"""SIGINT, SIGTERM and two SIGINT at random moments; the run is saved and goes on."""

import random
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from drills.outcome import Drill, Record, Setting
from drills.program import Program
from drills.recorded import (
    checkpoint,
    require_complete,
    require_no_traceback,
    rows_of,
    run_folders,
    status_of,
)
from drills.runs import FRAMES, Kind, Runs, wait_for_rows

KIND = Kind("ilvf_p", iterations=12)
Signals = tuple[int, ...]
KINDS: Mapping[str, Signals] = {
    "SIGINT": (signal.SIGINT,),
    "SIGTERM": (signal.SIGTERM,),
    "SIGINT twice": (signal.SIGINT, signal.SIGINT),
}
REPEATS = 4
STARTS = 4  # of each of SIGINT and SIGTERM, before the training begins


def drill(numbers: Signals) -> Callable[[Setting, Record], None]:
    """The drill of one kind of signals."""

    def run(setting: Setting, record: Record) -> None:
        runs = Runs(setting)
        rng = setting.rng(record.title)
        runs.reference(KIND)
        for k in range(REPEATS):
            count = rng.randint(2, KIND.iterations - 2)  # the first is saved after it is logged
            part = rng.uniform(0, 1)
            record.begin(f"at row {count} + {part:.2f}")
            out = runs.new(f"{record.title.replace(' ', '-')}-{k}")
            program = KIND.start(setting, out)
            if wait_for_rows(program, out, count, record):
                time.sleep(part * runs.seconds(KIND))
                send_all(program, numbers, rng, runs.seconds(KIND))
                require_end(record, program, out, numbers)
                go_on(record, runs, out)

    return run


def send_all(program: Program, numbers: Signals, rng: random.Random, seconds: float) -> None:
    """Send signals, a part of an iteration apart."""
    for position, number in enumerate(numbers):
        if position:
            time.sleep(rng.uniform(0, 0.5) * seconds)
        program.send(number)


def require_end(record: Record, program: Program, out: Path, numbers: Signals) -> None:
    """The exit code names the signal; the run is saved up to its last logged iteration."""
    code = program.wait()
    expected = {128 + numbers[-1]} if len(numbers) == 1 else {128 + numbers[-1], 130}
    record.require(code in expected, f"exit code {code}, not {expected}: {program.output[-300:]}")
    require_no_traceback(record, program.output)
    run = run_folders(out)[-1]
    content = checkpoint(run)["ilvf"]
    status = status_of(out / "mlflow.db", content["run"])
    if len(numbers) > 1:  # a second signal may come while the run is closed
        record.notes.append(f"{record.case}: its status in MLflow is {status}")
        return
    saved = content["state"]["frames"]
    rows = rows_of(run)
    record.lose(int(rows[-1]["frames"] != saved), f"{rows[-1]['frames']} logged, {saved} saved")
    record.require(status == "KILLED", f"its status in MLflow is {status}")


def go_on(record: Record, runs: Runs, out: Path) -> None:
    """Resume the run, which must equal an uninterrupted one."""
    run = run_folders(out)[-1]
    if checkpoint(run)["ilvf"]["state"]["frames"] < KIND.iterations * FRAMES:
        program = KIND.resume(out)
        record.require(program.wait() == 0, f"{program.command}: {program.output[-400:]}")
    require_complete(record, run, runs.reference(KIND))


def at_the_start(setting: Setting, record: Record) -> None:
    """A signal before the training begins: no traceback, nothing is left half."""
    runs = Runs(setting)
    rng = setting.rng(record.title)
    for number in (signal.SIGINT, signal.SIGTERM):
        for k in range(STARTS):
            seconds = rng.uniform(0.7, 6)
            record.begin(f"signal {number} after {seconds:.2f} s of a new interpreter")
            out = runs.new(f"start-{number}-{k}")
            program = KIND.start(setting, out, fresh=True)
            time.sleep(seconds)
            program.send(number)
            code = program.wait()
            allowed = {0, 128 + number, -number, 130}
            record.require(code in allowed, f"exit code {code}: {program.output[-300:]}")
            require_no_traceback(record, program.output)


def cases(sizes: Mapping[str, float]) -> int:
    """Runs of each kind of signals."""
    return REPEATS


DRILLS = [
    *(Drill(f"{name} in training", drill(sent), cases, 8.0) for name, sent in KINDS.items()),
    Drill("SIGINT, SIGTERM at the start", at_the_start, lambda sizes: 2 * STARTS, 8.0),
]
