"""Several runs that differ in their seed, a process per seed."""

import datetime
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from tqdm.auto import tqdm

from ilvf.distributed import under_torchrun
from ilvf.errors import require
from ilvf.experiment.config import Config
from ilvf.experiment.folder import make_folder
from ilvf.experiment.processes import number_of_processes, visible_gpus

Job = tuple[Sequence[str], int, Path]  # arguments, seed, log file
VISIBLE = "CUDA_VISIBLE_DEVICES"  # environment variable: the GPUs that a process sees
MOST_SEEDS = 1000
RANGE = re.compile(r"(?P<first>\d{1,10})(-(?P<last>\d{1,10}))?")
Place = dict[str, str]  # environment variables of a run: the GPUs that it may use


def parse_seeds(text: str | int) -> list[int]:
    """`0-4` or `0,3,7` → the seeds, in this order and without repetition.

    Raises:
        UsageError: the text is no list of seeds, a range is empty, or there are too many.
    """
    seeds: list[int] = []
    for part in str(text).split(","):
        match = RANGE.fullmatch(part.strip())
        require(match is not None, f"seeds={text} is no list of seeds; write 0-4 or 0,3,7")
        assert match is not None
        first = int(match["first"])
        last = int(match["last"] or first)
        require(first <= last, f"seeds={text}: the range {part} is empty; write {last}-{first}")
        require(
            last < 2**32 and len(seeds) + last - first < MOST_SEEDS,
            f"seeds={text} is too much: seeds are below 2^32, and at most {MOST_SEEDS} runs start",
        )
        seeds += range(first, last + 1)
    return list(dict.fromkeys(seeds))


def run_seeds(config: Config) -> None:
    """Run this command once per seed, as many at a time as fit (see `places`).

    The output of each run goes to `out/logs`.

    Raises:
        UsageError: a run has failed; names its log.
    """
    require(config.resume is None, "seeds and resume cannot be combined; resume each run by itself")
    require(
        not under_torchrun(),
        "seeds starts the runs itself and cannot be combined with torchrun; leave out one of them",
    )
    trainer: Any = OmegaConf.to_container(config.trainer)
    free = places(trainer["accelerator"], trainer["devices"])
    seeds = parse_seeds(config.seeds)
    logs = Path(config.out) / "logs"
    make_folder(logs, f"out={config.out}")
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    arguments = [a for a in sys.argv[1:] if a.partition("=")[0] not in ("seed", "seeds")]
    jobs: list[Job] = [(arguments, seed, logs / f"{stamp}-s{seed}.log") for seed in seeds]
    failed = _run_or_stop(jobs, free)
    require(
        not failed,
        f"{len(failed)} of {len(seeds)} runs failed; see {', '.join(map(str, failed))}",
    )
    print(f"compare them by   {shlex.join(['ilvf', 'compare', f'out={config.out}'])}")


def places(accelerator: str, devices: int | list[int]) -> list[Place]:
    """Where runs can be at the same time, as environment variables of each.

    On the CPU there is a place for every core, or for every `devices` cores. On GPUs there is a
    place for every `devices` GPUs, which nobody shares, and no more places than cores: with 4 GPUs
    and `devices=1`, 4 runs at a time, each of which sees one GPU. For several runs on one GPU,
    start them yourself. A list of devices is one place, as all runs would use the same GPUs.

    Args:
        accelerator, devices: of `TrainerOptions`.

    Raises:
        UsageError: the machine does not have the devices.
    """
    size = number_of_processes(accelerator, devices)
    gpus = visible_gpus(accelerator)
    at_most = max(cores() // size, 1)
    if gpus == 0:
        return [{} for _ in range(at_most)]
    if isinstance(devices, list) or gpus < 2 * size:
        return [{}]
    names = os.environ.get(VISIBLE, ",".join(map(str, range(gpus)))).split(",")[:gpus]
    groups = [names[k : k + size] for k in range(0, gpus - size + 1, size)]
    return [{VISIBLE: ",".join(group)} for group in groups[:at_most]]


def _run_or_stop(jobs: list[Job], free: list[Place]) -> list[Path]:
    """Run all jobs; on Ctrl-C or SIGTERM let them finish their iteration and save."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    running: dict[Path, subprocess.Popen[bytes]] = {}
    try:
        return _run_all(list(jobs), running, list(free))
    except KeyboardInterrupt:
        for process in running.values():
            process.send_signal(signal.SIGINT)
        for process in running.values():
            process.wait()
        raise SystemExit(130) from None


def _run_all(
    waiting: list[Job], running: dict[Path, "subprocess.Popen[bytes]"], free: list[Place]
) -> list[Path]:
    """Keep every place busy until all jobs are done; the logs of those that failed."""
    failed = []
    taken: dict[Path, Place] = {}
    with tqdm(total=len(waiting), unit="run") as bar:
        while waiting or running:
            while waiting and free:
                job = waiting.pop(0)
                place = free.pop(0)
                taken[job[2]] = place
                running[job[2]] = _start(*job, place)
            time.sleep(0.2)
            ended = [log for log, process in running.items() if process.poll() is not None]
            for log in ended:
                code = running.pop(log).returncode
                free.append(taken.pop(log))
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


def _start(
    arguments: Sequence[str], seed: int, log: Path, place: Place
) -> "subprocess.Popen[bytes]":
    """Start one run on one thread, in a session of its own: this process forwards signals."""
    command = [sys.executable, sys.argv[0], *arguments, f"seed={seed}", "trainer.progress=false"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **place}
    with log.open("wb") as file:
        return subprocess.Popen(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
