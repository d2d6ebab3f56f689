"""The runs of a study: their arguments, checked before the first one starts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf

from ilvf.algorithms.options import TrainingOptions
from ilvf.errors import UsageError, require
from ilvf.experiment.config import resolve
from ilvf.experiment.options import training_schema
from ilvf.experiment.schema import word_of
from ilvf.experiment.seeds import parse_seeds
from ilvf.options import shown
from ilvf.studies.description import Study, StudyAlgorithm, StudyTask
from ilvf.studies.keys import keys_of, require_keys_of_some

ALWAYS = ("trainer.progress=false", "trainer.threads=1")
PLAIN = re.compile(r"[^a-z0-9.]+")
Key = tuple[str, str, int]  # task, algorithm, seed: what identifies a run


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study.

    Attributes:
        task, algorithm: titles.
        seed: of the run.
        recipe: the declared algorithm.
        arguments: `key=value` of `ilvf train RECIPE`, without `out` and `resume`.
        frames: environment frames at its end.
        metric: what its curve shows.
        folder: name of its folder below the study's.
    """

    task: str
    algorithm: str
    seed: int
    recipe: str
    arguments: tuple[str, ...]
    frames: int
    metric: str
    folder: str

    @property
    def key(self) -> Key:
        return self.task, self.algorithm, self.seed


def planned_runs(study: Study) -> list[PlannedRun]:
    """All runs of a study: every seed of all algorithms and tasks before the next seed.

    Raises:
        UsageError: a key is unknown or a value is wrong; names task and algorithm.
    """
    require_keys_of_some(study)
    seeds = parse_seeds(study.scale.seeds)
    runs = []
    for task in study.tasks:
        for algorithm in study.algorithms_of(task):
            try:
                runs += runs_of(study, task, algorithm, seeds)
            except UsageError as error:
                where = f"study {study.name}, {algorithm.title} on {task.title}"
                raise UsageError(f"{where}: {error}") from error
    folders = [run.folder for run in runs]
    require_different_folders(study, folders)
    return sorted(runs, key=lambda run: seeds.index(run.seed))


def runs_of(
    study: Study, task: StudyTask, algorithm: StudyAlgorithm, seeds: Sequence[int]
) -> list[PlannedRun]:
    """The runs of one algorithm on one task."""
    arguments = [f"env={task.env}"]
    if study.scale.preset is not None:
        arguments.append(f"preset={study.scale.preset}")
    arguments += [word_of(key, value) for key, value in keys_of(study, task, algorithm)]
    config = resolve(training_schema(algorithm.recipe), arguments)
    wanted = study.scale.frames or task.frames * study.scale.factor
    options: Any = OmegaConf.to_object(config.algorithm)
    iterations, frames = length_of_run(options, wanted)
    arguments += [
        f"trainer.max_epochs={iterations}",
        f"trainer.accelerator={study.scale.accelerator}",
        *ALWAYS,
    ]
    runs = []
    for seed in seeds:
        run = PlannedRun(
            task=task.title,
            algorithm=algorithm.title,
            seed=seed,
            recipe=algorithm.recipe,
            arguments=(*arguments, f"seed={seed}"),
            frames=frames,
            metric=task.metric,
            folder=f"{plain(task.title)}_{plain(algorithm.title)}_s{seed}",
        )
        runs.append(run)
    return runs


def length_of_run(options: TrainingOptions, wanted: float) -> tuple[int, int]:
    """(iterations, frames) of the run whose number of frames is nearest; one iteration at least."""
    first = options.frames_of(1)
    more = options.frames_of(2) - first
    iterations = max(1 + round((wanted - first) / more), 1)
    return iterations, options.frames_of(iterations)


def plain(title: str) -> str:
    """A title as a part of a folder's name."""
    return PLAIN.sub("-", title.lower()).strip("-.")


def require_different_folders(study: Study, folders: Sequence[str]) -> None:
    """Raise if two runs would have the same folder, because their titles are too similar."""
    repeated = {folder for folder in folders if folders.count(folder) > 1}
    require(
        not repeated,
        f"study {study.name}: several runs would have the folder {shown(min(repeated, default=''))}"
        "; give titles that differ in letters or digits",
    )
