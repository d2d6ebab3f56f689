"""Several runs of one recipe, a process per seed."""

import datetime
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm.auto import tqdm

from ilvf.config import Config
from ilvf.errors import UsageError, require


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
    waiting = parse_seeds(cfg["seeds"])
    logs = Path(cfg["out"]) / "logs"
    try:
        logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"out={cfg['out']}: the folder {logs} cannot be made ({error.strerror})") from error
    args = [a for a in sys.argv[1:] if a.partition("=")[0] not in ("seed", "seeds")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    running: dict[int, subprocess.Popen[bytes]] = {}
    failed = []
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    with tqdm(total=len(waiting), unit="run") as bar:
        try:
            while waiting or running:
                while waiting and len(running) < cores:
                    seed = waiting.pop(0)
                    running[seed] = _start(args, seed, logs / f"{stamp}-s{seed}.log")
                done = [s for s, p in running.items() if p.poll() is not None]
                for seed in done:
                    if code := running.pop(seed).returncode:
                        failed.append(seed)
                        tqdm.write(f"seed {seed} ended with exit code {code}: {logs / f'{stamp}-s{seed}.log'}")
                    bar.update()
                if not done:
                    time.sleep(0.2)
        except KeyboardInterrupt:  # the signal has reached the runs too: let them save
            for process in running.values():
                process.wait()
            raise SystemExit(130) from None
    require(not failed, f"{len(failed)} of the runs failed (seeds {failed}); see {logs}")
    print(f"compare them by   python {Path(sys.argv[0]).parent / 'compare.py'} out={cfg['out']}")


def _start(args: Sequence[str], seed: int, log: Path) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("wb") as file:
        command = [sys.executable, sys.argv[0], *args, f"seed={seed}", "trainer.progress=false"]
        return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
