"""Tasks that cannot run on this machine, because a file or a package is missing.

A task of the yaml file that is `optional` is left out then, and the report says why.
"""

import importlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from omegaconf import OmegaConf

from ilvf.envs.options import declaration_of
from ilvf.errors import UsageError, require
from ilvf.experiment.config import environment_of
from ilvf.options import configure
from ilvf.studies.description import Study, StudyTask

MONACO = "monaco"  # the environment whose network users have to get
HINT = "; or call the study with net_file=FILE"


def reason_of_absence(task: StudyTask) -> str:
    """Why a task cannot run on this machine; empty if it can, as far as its environment says."""
    env, overlay = environment_of(task.env)
    assert env is not None
    declared = declaration_of(env)
    if declared.needs is None:
        return ""
    module, _, name = declared.needs.partition(":")
    values = _environment_keys(overlay, task)
    try:
        getattr(importlib.import_module(module), name)(configure(declared.options, values, "it"))
    except UsageError as error:
        own_file = env == MONACO and "net_file" not in values
        return f"{error}{HINT if own_file else ''}"
    return ""


def _environment_keys(overlay: Mapping[str, Any], task: StudyTask) -> dict[str, Any]:
    """The options that a task gives its environment, `kwargs.n` nested as `{kwargs: {n: ...}}`."""
    nested = OmegaConf.create(dict(overlay))
    for key, value in task.keys.items():
        if key.startswith("env."):
            OmegaConf.update(nested, key.removeprefix("env."), value)
    values: Any = OmegaConf.to_container(nested)
    return values


def absent_tasks(tasks: Sequence[StudyTask], wanted: Collection[str]) -> dict[str, str]:
    """Title → why the task is left out, of those optional tasks that cannot run here.

    Args:
        tasks: of the study.
        wanted: titles of tasks that must run, because the user has asked for them.

    Raises:
        UsageError: one of them cannot.
    """
    absent = {}
    for task in tasks:
        reason = reason_of_absence(task) if task.optional else ""
        require(not reason or task.title not in wanted, f"{task.title} cannot run here: {reason}")
        if reason:
            absent[task.title] = reason
    return absent


def absent_text(absent: dict[str, str]) -> str:
    """The tasks that are left out and why, for the report; empty without any."""
    lines = [f"**{title} is left out:** {reason}." for title, reason in absent.items()]
    return "\n\n".join(lines)


def with_network(study: Study, net_file: str) -> Study:
    """The study with the user's network file of Monaco.

    Raises:
        UsageError: no task has a use for it, or it cannot be used.
    """
    tasks = []
    for task in study.tasks:
        if environment_of(task.env)[0] == MONACO:
            task = replace(task, keys={**task.keys, "env.net_file": net_file})
            reason = reason_of_absence(task)
            require(not reason, f"net_file: {task.title} cannot run here: {reason}")
        tasks.append(task)
    require(
        tasks != list(study.tasks),
        f"net_file is for tasks with env={MONACO}, of which the study has none at this scale",
    )
    return replace(study, tasks=tasks)
