"""Several runs that differ in their seed, a process per seed, below one MLflow run."""

import datetime
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from ilvf.distributed import launched
from ilvf.errors import require
from ilvf.experiment.build import saved_form
from ilvf.experiment.config import Config
from ilvf.experiment.folder import (
    experiment_name,
    make_folder,
    new_folder_name,
)
from ilvf.experiment.jobs import Job, places, require_all_succeeded, run_jobs
from ilvf.experiment.membership import PARENT, Membership
from ilvf.experiment.parent import Parent
from ilvf.experiment.presentation import (
    DESCRIPTION,
    description_of_seeds,
    labels,
    name_in_mlflow,
)
from ilvf.experiment.processes import number_of_processes
from ilvf.experiment.schema import flatten
from ilvf.experiment.seed_progress import SeedBars
from ilvf.experiment.seed_summary import NUMBER_OF_SEEDS
from ilvf.experiment.seeds import parse_seeds
from ilvf.options import one_line


def run_seeds(config: Config, command: Sequence[str]) -> None:
    """Run a command once per seed, as many at a time as fit (see `places`).

    The output of each run goes to `out/logs`.

    Args:
        config: of the command.
        command: its words.

    Raises:
        UsageError: a run has failed; names its log.
    """
    launch = launched()
    require(
        launch is None,
        "seeds starts the runs itself and cannot be combined with "
        f"{launch.by if launch else ''}; leave out one of them",
    )
    seeds = parse_seeds(config.seeds)
    trainer: Any = OmegaConf.to_container(config.trainer)
    free = places(trainer["accelerator"], trainer["devices"])
    logs = Path(config.out) / "logs"
    make_folder(logs, f"out={config.out}")
    parent = parent_of(config, len(seeds)) if config.trainer.logger == "mlflow" else None
    tags = {} if parent is None else {PARENT: parent.run_id}
    jobs = jobs_of(config, seeds, logs, tags, command)
    status = "KILLED"
    try:
        bars = bars_of(config, jobs)
        failed = run_jobs(list(jobs), free, watch=bars.show, again="give each resume=FOLDER")
        status = "FAILED" if failed else "FINISHED"
    finally:
        if parent is not None:
            parent.close(status)
    require_all_succeeded(list(jobs), failed)
    if parent is not None:
        print(f"compare them by   {shlex.join(['ilvf', 'compare', f'out={config.out}'])}")


def bars_of(config: Config, jobs: Mapping[Job, Path]) -> SeedBars:
    """The progress bars of the runs.

    Args:
        jobs: job → folder of its run.
    """
    trainer: Any = OmegaConf.to_container(config.trainer)
    processes = number_of_processes(trainer["accelerator"], trainer["devices"])
    algorithm: Any = OmegaConf.to_object(config.algorithm)
    frames = algorithm.frames_of(trainer["max_epochs"]) * processes * trainer["num_nodes"]
    return SeedBars(jobs, frames)


def parent_of(config: Config, number: int) -> Parent:
    """The MLflow run below which MLflow shows the runs of all seeds."""
    parameters = flatten(saved_form(config))
    del parameters["seed"]  # by which the other commands know a training
    return Parent(
        Path(config.out),
        experiment_name(config),
        f"{name_in_mlflow(config)} · seeds {one_line(str(config.seeds))}",
        tags={
            **labels(config),
            NUMBER_OF_SEEDS: str(number),
            DESCRIPTION: description_of_seeds(config),
        },
        parameters=parameters,
    )


def jobs_of(
    config: Config,
    seeds: Sequence[int],
    logs: Path,
    tags: Mapping[str, str],
    command: Sequence[str],
) -> dict[Job, Path]:
    """A process of the command for each seed.

    Args:
        logs: folder of their output.
        tags: of the runs in MLflow.
        command: its words.

    Returns:
        job → folder of its run.
    """
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    words = [word for word in command if word.partition("=")[0] not in ("seed", "seeds")]
    jobs = {}
    for seed in seeds:
        member = Membership(
            experiment=experiment_name(config),
            name=f"{name_in_mlflow(config)} · s{seed}",
            folder=new_folder_name(config, seed),
            tags=tags,
        )
        log = logs / f"{stamp}-s{seed}.log"
        of_seed = (*words, "trainer.progress=false", f"seed={seed}")
        jobs[Job(of_seed, log, member.variables())] = Path(config.out) / member.folder
    return jobs
