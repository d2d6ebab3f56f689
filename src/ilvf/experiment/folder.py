"""The names and the folder of a run."""

import contextlib
import datetime
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from ilvf.checkpoints.files import run_folder, started_by_lightning
from ilvf.distributed import decided_by_first, several
from ilvf.errors import UsageError
from ilvf.experiment.config import Config
from ilvf.experiment.lock import HOLDER, LOCK
from ilvf.experiment.membership import membership
from ilvf.experiment.processes import require_launcher

RUN_DIR = "ILVF_RUN_DIR"  # environment variable: the run's folder, for its other processes


def run_name(config: Config) -> str:
    """The algorithm's name; VDN is QMIX with another mixer."""
    return config.algorithm.get("mixer", config.recipe)


def experiment_name(config: Config) -> str:
    """The MLflow experiment: of the study, or the environment, and its task if it has several."""
    member = membership()
    return member.experiment if member is not None else task_name(config.env)


def task_name(env: Mapping[str, Any]) -> str:
    """The environment, and its task if it has several."""
    task = env.get("task")
    return f"{env['name']}/{task}" if task else env["name"]


def make_run_folder(config: Config, checkpoint: Path | None) -> Path:
    """The folder of a resumed run, or a new one.

    The first process decides. The others learn it from the launcher's store or from the process
    group, or inherit it from the first process, if Lightning has started them.

    Raises:
        UsageError: it cannot be made, or the launcher's processes are not those of the config.
    """
    trainer: Any = OmegaConf.to_container(config.trainer)
    require_launcher(trainer["accelerator"], trainer["devices"], trainer["num_nodes"])
    if RUN_DIR in os.environ and started_by_lightning() and not several():
        return Path(os.environ[RUN_DIR])
    path = decided_by_first(lambda: str(_folder(config, checkpoint)))
    os.environ[RUN_DIR] = path
    return Path(path)


def _folder(config: Config, checkpoint: Path | None) -> Path:
    """Make the folder, in the first process."""
    member = membership()
    if checkpoint is not None and checkpoint.parent.name == "checkpoints":
        path = run_folder(checkpoint)
    elif member is not None:
        path = Path(config.out) / member.folder
    else:
        path = Path(config.out) / new_folder_name(config, config.seed)
    make_folder(path, f"out={config.out}")
    return path.resolve()


def new_folder_name(config: Config, seed: int) -> str:
    """The name of a new run's folder."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    name = f"{run_name(config)}-{config.env.name}-s{seed}"
    return f"{name}-{stamp}-{uuid.uuid4().hex[:4]}"


@contextlib.contextmanager
def removed_if_refused(folder: Path) -> Iterator[None]:
    """Remove a new folder again if the block fails before anything but its lock is in it."""
    new = not any(folder.iterdir())
    try:
        yield
    except BaseException:
        left = {path.name for path in folder.iterdir()}
        if new and left <= {LOCK, HOLDER}:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def make_folder(path: Path, cause: str) -> None:
    """Make a folder and its parents.

    Args:
        cause: the argument that names it, for the error.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{cause}: the folder {path} cannot be made ({error.strerror})") from error
