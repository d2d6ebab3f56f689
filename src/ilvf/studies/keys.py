"""The config keys of a study's runs: of tasks, algorithms and scales."""

from collections.abc import Mapping
from typing import Any

from ilvf.errors import UsageError, require
from ilvf.experiment.config import environment_of
from ilvf.experiment.options import training_schema
from ilvf.experiment.schema import Leaf, require_known
from ilvf.options import shown
from ilvf.studies.description import Study, StudyAlgorithm, StudyTask

RESERVED = {  # decided by frames, seeds, scales and the runner
    "out",
    "preset",
    "resume",
    "seed",
    "seeds",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.early_stopping",  # a run ends at its last frame
    "trainer.logger",
    "trainer.max_epochs",
    "trainer.progress",
    "trainer.threads",
}


def keys_of(study: Study, task: StudyTask, algorithm: StudyAlgorithm) -> list[tuple[str, Any]]:
    """The config keys of a run: the task's, then the algorithm's, then the scale's.

    Keys of tasks and scales that the algorithm does not have are left out, as with a preset.
    """
    leaves = leaves_of(task, algorithm)
    values = {key: value for key, value in task.keys.items() if is_known(key, leaves)}
    for key, value in algorithm.keys.items():
        require_known(key, leaves, f"keys of {algorithm.title}")
        values[key] = value
    values |= {key: value for key, value in study.scale.keys.items() if is_known(key, leaves)}
    return list(values.items())


def require_keys_of_some(study: Study) -> None:
    """Raise if a key of a task or of the scale belongs to none of the runs: it is misspelt."""
    everything: dict[str, Leaf] = {}
    for task in study.tasks:
        leaves: dict[str, Leaf] = {}
        for algorithm in study.algorithms_of(task):
            leaves |= leaves_of(task, algorithm)
        for key in task.keys:
            require_known(key, leaves, f"study {study.name}, keys of {task.title}")
        everything |= leaves
    for key in study.scale.keys:
        require_known(key, everything, f"study {study.name}, keys of {study.scale_name}")
    of_tasks = [task.keys for task in study.tasks]
    of_algorithms = [algorithm.keys for algorithm in study.algorithms]
    for keys in (*of_tasks, *of_algorithms, study.scale.keys):
        clash = sorted(RESERVED & set(keys))
        require(
            not clash,
            f"study {study.name}: keys cannot have {', '.join(clash)}, which frames, seeds and "
            "scales decide",
        )


def require_trusted(study: Study) -> None:
    """Raise if a key of the study's file imports code, or can make a program write files.

    Raises:
        UsageError: names the key and its value.
    """
    for task in study.tasks:
        for algorithm in study.algorithms_of(task):
            leaves = leaves_of(task, algorithm)
            for key, value in keys_of(study, task, algorithm):
                effect = require_known(key, leaves, study.name).effect_of(value)
                require(
                    not effect,
                    f"study {study.name}, {task.title}: it has {key}={shown(value)}, which "
                    f"{effect}; if you trust the file, add trust=true",
                )


def leaves_of(task: StudyTask, algorithm: StudyAlgorithm) -> dict[str, Leaf]:
    """All config keys of an algorithm on a task."""
    env, _ = environment_of(task.env)
    return training_schema(algorithm.recipe).leaves(env)


def is_known(key: str, leaves: Mapping[str, Leaf]) -> bool:
    """Does this config have the key, or an open mapping that it lies in?"""
    try:
        require_known(key, leaves, "")
    except UsageError:
        return False
    return True
