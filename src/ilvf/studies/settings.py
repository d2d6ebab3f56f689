"""Finds runs that were trained with other settings than the study has now."""

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import OmegaConf

from ilvf.checkpoints.files import read_checkpoint
from ilvf.checkpoints.verify import require_config
from ilvf.errors import UsageError, require
from ilvf.experiment.config import resolve, saved_values
from ilvf.experiment.options import training_schema
from ilvf.experiment.schema import flatten
from ilvf.options import shown
from ilvf.studies.plan import Key, PlannedRun
from ilvf.studies.records import command_of

SECTIONS = ("env", "algorithm", "trainer")
FREE = {  # keys that may differ: the machine and its files, progress, and frames, compared alone
    "trainer.accelerator",
    "trainer.animation",
    "trainer.devices",
    "trainer.max_epochs",
    "trainer.pictures",
    "trainer.progress",
    "trainer.threads",
}
FILES = (  # compared by name: folders can move
    "env.additional",
    "env.net_file",
    "env.routes",
    "env.table",
)
ONE_NETWORK = "monaco"  # environment whose file is always the same network, under any name
Settings = dict[str, Any]


def require_recorded_settings(
    records: pd.DataFrame, runs: Iterable[PlannedRun], finished: set[Key], path: Path
) -> None:
    """Raise if finished runs were trained with other settings than the study has now.

    Runs without a record, of an older version, are not compared.

    Args:
        path: of the records, for the message.
    """
    rows = {(row.task, row.algorithm, row.seed): row for row in records.itertuples()}
    faults = []
    for run in runs:
        if run.key in rows and run.key in finished:
            try:
                require_recorded(rows[run.key], run, path)
            except UsageError as error:
                faults.append(str(error))
    others = f"; so were {len(faults) - 1} other runs" if len(faults) > 1 else ""
    require(not faults, f"{''.join(faults[:1])}{others}")


def require_recorded(row: Any, run: PlannedRun, path: Path) -> None:
    """Raise if a finished run was trained with other settings than the study has now.

    Args:
        row: the run's record.
        path: of the records.
    """
    where = f"{path}: {label(run)}, was trained"
    then = f"delete its rows there and in raw.csv, and the folder {run.folder}"
    require(
        row.metric in ("", run.metric),
        f"{path}: the curve of {label(run)}, shows {shown(row.metric)} instead of "
        f"{shown(run.metric)}; {then}, or give another out",
    )
    if row.command != command_of(run):
        require_same(settings_in(row.command, where), settings_of(run), where, then)
    if names_file(run):  # it may have changed under its name
        require_settings_of_folder(path.parent / run.folder, run)


def names_file(run: PlannedRun) -> bool:
    """Does the command of a run name a yaml file, whose content no record has?"""
    words = (argument.partition("=") for argument in run.arguments)
    return any(key in ("env", "preset") and value.endswith(".yaml") for key, _, value in words)


def require_settings_of_folder(folder: Path, run: PlannedRun) -> None:
    """Raise if the last checkpoint in a run's folder has other settings than the study has now.

    A damaged checkpoint is not compared; the process that continues from it names the damage.
    """
    checkpoint = folder / "checkpoints" / "last.ckpt"
    try:
        saved = require_config(checkpoint, read_checkpoint(checkpoint))
        env, values = saved_values(training_schema(run.recipe), saved, str(checkpoint))
    except UsageError:
        return
    found = {"recipe": saved.get("recipe", run.recipe), "env.name": env}
    found |= compared(flatten(values), str(env))
    where = f"{label(run)}, was trained"
    require_same(found, settings_of(run), where, f"delete the folder {folder}")


def require_same(found: Settings, planned: Settings, where: str, then: str) -> None:
    """Raise if a setting differs; names the first one."""
    for key in [*planned, *found]:
        require(
            found.get(key) == planned.get(key),
            f"{where} with {key}={shown(found.get(key))} instead of {shown(planned.get(key))}; "
            f"{then} to run it again, or give another out",
        )


def settings_of(run: PlannedRun) -> Settings:
    """The settings of a run as planned."""
    return resolved(run.recipe, run.arguments)


def settings_in(command: str, where: str) -> Settings:
    """The settings in a recorded command.

    Raises:
        UsageError: it is not a command of today.
    """
    try:
        recipe, *arguments = shlex.split(command)[2:]
        return resolved(recipe, arguments)
    except (ValueError, KeyError) as error:
        reason = str(error) or "it is empty"
        raise UsageError(f"{where} by {shown(command)}, which cannot be read: {reason}") from error


def resolved(recipe: str, arguments: Iterable[str]) -> Settings:
    """The recipe and all values of a command that are compared."""
    config: Any = OmegaConf.to_container(resolve(training_schema(recipe), arguments))
    return {"recipe": recipe} | compared(flatten(config), config["env"]["name"])


def compared(values: Mapping[str, Any], env: str) -> Settings:
    """Those of flat values that make a run in the environment `env` what it is."""
    free = FREE | {"env.net_file"} if env == ONE_NETWORK else FREE
    kept = {}
    for key, value in values.items():
        if key.partition(".")[0] in SECTIONS and key not in free:
            kept[key] = file_names(value) if key in FILES else value
    return kept


def file_names(value: Any) -> Any:
    """Paths without their folders."""
    if isinstance(value, list):
        return [file_names(item) for item in value]
    return Path(value).name if isinstance(value, str) else value


def label(run: PlannedRun) -> str:
    """A run in a sentence."""
    return f"{shown(run.algorithm)} on {shown(run.task)}, seed {run.seed}"
