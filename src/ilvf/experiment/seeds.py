"""Several runs of one recipe, a process per seed."""

import datetime
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm.auto import tqdm

from ilvf.errors import UsageError, require
from ilvf.experiment.command_line import Config


def parse_seeds(text: str | int) -> list[int]:
    """`0-4` or `0,3,7` → the seeds."""
    seeds: list[int] = []
    try:
        for part in str(text).split(","):
            first, _, last = part.partition("-")
            seeds += range(int(first), int(last or first) + 1)
    except ValueError:
        seeds = []
    require(bool(seeds), f"seeds={text} is no list of seeds; write 0-4 or 0,3,7")
    return seeds


def run_seeds(cfg: Config) -> None:
    """One process per seed, as many at a time as there are cores; every run's output goes to `out/logs`."""
    require(cfg["resume"] is None, "seeds and resume cannot be combined; resume each run by itself")
    seeds, logs = parse_seeds(cfg["seeds"]), Path(cfg["out"]) / "logs"
    try:
        logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"out={cfg['out']}: the folder {logs} cannot be made ({error.strerror})"
        ) from error
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    args = [a for a in sys.argv[1:] if a.partition("=")[0] not in ("seed", "seeds")]
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    running: dict[Path, subprocess.Popen[bytes]] = {}
    try:
        failed = _run_all([(args, seed, logs / f"{stamp}-s{seed}.log") for seed in seeds], running)
    except KeyboardInterrupt:
        for process in running.values():
            process.send_signal(signal.SIGINT)  # they finish their iteration and save
        for process in running.values():
            process.wait()
        raise SystemExit(130) from None
    require(
        not failed, f"{len(failed)} of {len(seeds)} runs failed; see {', '.join(map(str, failed))}"
    )
    print(f"compare them by   python {Path(sys.argv[0]).parent / 'compare.py'} out={cfg['out']}")


def _run_all(
    waiting: list[tuple[Sequence[str], int, Path]], running: dict[Path, "subprocess.Popen[bytes]"]
) -> list[Path]:
    """Keep every core busy until all are done; the logs of those that failed."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    )
    failed = []
    with tqdm(total=len(waiting), unit="run") as bar:
        while waiting or running:
            while waiting and len(running) < cores:
                job = waiting.pop(0)
                running[job[2]] = _start(*job)
            time.sleep(0.2)
            for log in [k for k, p in running.items() if p.poll() is not None]:
                if code := running.pop(log).returncode:
                    failed.append(log)
                    tqdm.write(f"a run ended with exit code {code}: {log}")
                bar.update()
    return failed


def _start(args: Sequence[str], seed: int, log: Path) -> "subprocess.Popen[bytes]":
    """One run, on one thread, in a session of its own: signals reach it through us."""
    command = [sys.executable, sys.argv[0], *args, f"seed={seed}", "trainer.progress=false"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("wb") as file:
        return subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
