"""Several runs that differ in their seed, a process per seed."""

import datetime
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm.auto import tqdm

from ilvf.errors import require
from ilvf.experiment.config import Config
from ilvf.experiment.folder import make_folder

Job = tuple[Sequence[str], int, Path]  # arguments, seed, log file


def parse_seeds(text: str | int) -> list[int]:
    """`0-4` or `0,3,7` → the seeds.

    Raises:
        UsageError: the text is no list of seeds.
    """
    seeds: list[int] = []
    try:
        for part in str(text).split(","):
            first, _, last = part.partition("-")
            seeds += range(int(first), int(last or first) + 1)
    except ValueError:
        seeds = []
    require(bool(seeds), f"seeds={text} is no list of seeds; write 0-4 or 0,3,7")
    return seeds


def run_seeds(config: Config) -> None:
    """Run this command once per seed, as many at a time as there are cores.

    The output of each run goes to `out/logs`.

    Raises:
        UsageError: a run has failed; names its log.
    """
    require(config.resume is None, "seeds and resume cannot be combined; resume each run by itself")
    seeds = parse_seeds(config.seeds)
    logs = Path(config.out) / "logs"
    make_folder(logs, f"out={config.out}")
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    arguments = [a for a in sys.argv[1:] if a.partition("=")[0] not in ("seed", "seeds")]
    jobs: list[Job] = [(arguments, seed, logs / f"{stamp}-s{seed}.log") for seed in seeds]
    failed = _run_or_stop(jobs)
    require(
        not failed,
        f"{len(failed)} of {len(seeds)} runs failed; see {', '.join(map(str, failed))}",
    )
    print(f"compare them by   {shlex.join(['ilvf', 'compare', f'out={config.out}'])}")


def _run_or_stop(jobs: list[Job]) -> list[Path]:
    """Run all jobs; on Ctrl-C or SIGTERM let them finish their iteration and save."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    running: dict[Path, subprocess.Popen[bytes]] = {}
    try:
        return _run_all(list(jobs), running)
    except KeyboardInterrupt:
        for process in running.values():
            process.send_signal(signal.SIGINT)
        for process in running.values():
            process.wait()
        raise SystemExit(130) from None


def _run_all(waiting: list[Job], running: dict[Path, "subprocess.Popen[bytes]"]) -> list[Path]:
    """Keep every core busy until all jobs are done; the logs of those that failed."""
    failed = []
    with tqdm(total=len(waiting), unit="run") as bar:
        while waiting or running:
            while waiting and len(running) < cores():
                job = waiting.pop(0)
                running[job[2]] = _start(*job)
            time.sleep(0.2)
            ended = [log for log, process in running.items() if process.poll() is not None]
            for log in ended:
                code = running.pop(log).returncode
                if code:
                    failed.append(log)
                    tqdm.write(f"a run ended with exit code {code}: {log}")
                bar.update()
    return failed


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start(arguments: Sequence[str], seed: int, log: Path) -> "subprocess.Popen[bytes]":
    """Start one run on one thread, in a session of its own: this process forwards signals."""
    command = [sys.executable, sys.argv[0], *arguments, f"seed={seed}", "trainer.progress=false"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("wb") as file:
        return subprocess.Popen(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
