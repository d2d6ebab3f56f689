"""Several runs that differ in their seed, a process per seed."""

import datetime
import re
import shlex
import sys
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from ilvf.distributed import under_torchrun
from ilvf.errors import require
from ilvf.experiment.config import Config
from ilvf.experiment.folder import make_folder
from ilvf.experiment.jobs import Job, places, require_all_succeeded, run_jobs
from ilvf.options import one_line

MOST_SEEDS = 1000
RANGE = re.compile(r"(?P<first>\d{1,10})(-(?P<last>\d{1,10}))?")


def parse_seeds(text: str | int) -> list[int]:
    """`0-4` or `0,3,7` → the seeds, in this order and without repetition.

    Raises:
        UsageError: the text is no list of seeds, a range is empty, or there are too many.
    """
    seeds: list[int] = []
    given = f"seeds={one_line(str(text))}"
    for part in str(text).split(","):
        match = RANGE.fullmatch(part.strip())
        require(match is not None, f"{given} is no list of seeds; write 0-4 or 0,3,7")
        assert match is not None
        first = int(match["first"])
        last = int(match["last"] or first)
        require(first <= last, f"{given}: the range {part} is empty; write {last}-{first}")
        require(
            last < 2**32 and len(seeds) + last - first < MOST_SEEDS,
            f"{given} is too much: seeds are below 2^32, and at most {MOST_SEEDS} runs start",
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
    seeds = parse_seeds(config.seeds)
    trainer: Any = OmegaConf.to_container(config.trainer)
    free = places(trainer["accelerator"], trainer["devices"])
    logs = Path(config.out) / "logs"
    make_folder(logs, f"out={config.out}")
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    arguments = [a for a in sys.argv[1:] if a.partition("=")[0] not in ("seed", "seeds")]
    command = [sys.executable, sys.argv[0], *arguments, "trainer.progress=false"]
    jobs = []
    for seed in seeds:
        jobs.append(Job((*command, f"seed={seed}"), logs / f"{stamp}-s{seed}.log"))
    require_all_succeeded(jobs, run_jobs(jobs, free))
    print(f"compare them by   {shlex.join(['ilvf', 'compare', f'out={config.out}'])}")
