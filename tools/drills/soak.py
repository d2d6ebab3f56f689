"""A long run with an evaluation and pictures at every iteration: nothing grows."""

import os
import signal
import statistics
import time
from pathlib import Path

import psutil

from drills.outcome import Drill, Record, Setting
from drills.program import Program, wait_for
from drills.recorded import checkpoint, require_no_traceback, rows_of, run_folders, stored
from drills.runs import FRAMES, Kind, Runs

KIND = Kind("ilvf_p", iterations=1_000_000, eval_every=1)
INTERVAL = 1.0  # [s] between measurements
GROWTH = 1.10  # memory at the end over memory in the middle
Measurement = tuple[float, int, int]  # resident memory [bytes], open files, threads


def soak(setting: Setting, record: Record) -> None:
    """Run for some minutes, stop by SIGINT, compare the middle with the end."""
    minutes = setting.sizes["soak_minutes"]
    record.begin(f"{minutes:g} minutes")
    out = Runs(setting).new("soak")
    program = KIND.start(setting, out, fresh=True)
    measured = measure(program, out, 60 * minutes)
    program.send(signal.SIGINT)
    code = program.wait()
    record.require(code == 130, f"exit code {code}: {program.output[-400:]}")
    require_no_traceback(record, program.output)
    if record.require(len(measured) >= 20, f"only {len(measured)} measurements"):
        require_steady(record, measured)
    require_all(record, run_folders(out)[-1])


def measure(program: Program, out: Path, seconds: float) -> list[Measurement]:
    """One measurement a second, from the first iteration on."""
    wait_for(lambda: any(out.glob("*/checkpoints/last.ckpt")), program, 120.0)
    process = psutil.Process(program.pid)
    found: list[Measurement] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and program.running:
        files = len(os.listdir(f"/proc/{program.pid}/fd"))
        found.append((process.memory_info().rss, files, process.num_threads()))
        time.sleep(INTERVAL)
    return found


def require_steady(record: Record, measured: list[Measurement]) -> None:
    """Memory, open files and threads do not grow from the middle to the end."""
    tenth = max(len(measured) // 10, 5)
    half = len(measured) // 2
    middle = measured[half - tenth // 2 : half - tenth // 2 + tenth]
    end = measured[-tenth:]
    memory, files, threads = ([row[k] for row in middle] for k in range(3))
    memory_end, files_end, threads_end = ([row[k] for row in end] for k in range(3))
    growth = statistics.median(memory_end) / statistics.median(memory)
    record.notes.append(
        f"memory {statistics.median(memory) / 2**20:.0f} → "
        f"{statistics.median(memory_end) / 2**20:.0f} MiB ({growth - 1:+.1%}), "
        f"open files {max(files)} → {max(files_end)}, threads {max(threads)} → {max(threads_end)}"
    )
    record.require(growth <= GROWTH, f"memory grew by {growth - 1:.1%}")
    record.require(max(files_end) <= max(files), f"open files: {max(files)}, {max(files_end)}")
    record.require(max(threads_end) <= max(threads), f"threads: {max(threads)}, {max(threads_end)}")


def require_all(record: Record, run: Path) -> None:
    """Every iteration is logged once, with its evaluation, and in the store; pictures are there."""
    rows = rows_of(run)
    found = [row["frames"] for row in rows]
    expected = [FRAMES * (k + 1) for k in range(len(rows))]
    record.lose(len(set(expected) ^ set(found)), "iterations are missing or doubled")
    record.require(all("eval/return/team" in row for row in rows), "iterations without evaluation")
    content = checkpoint(run)["ilvf"]
    saved = content["state"]["frames"]
    record.lose(int(saved != found[-1]), f"saved at {saved}, logged until {found[-1]}")
    history = stored(run.parent / "mlflow.db", content["run"])
    absent = [frames for frames in found if len(history.get(("frames", frames), ())) != 1]
    record.lose(len(absent), f"MLflow lacks or doubles the iterations {absent[:5]}")
    pictures = len(list((run / "pictures").glob("episode-*.png")))
    record.require(pictures == len(rows), f"{pictures} pictures of {len(rows)} iterations")
    record.notes.append(f"{len(rows)} iterations")


DRILLS = [Drill("soak", soak, lambda sizes: 1, 600.0)]
