"""The names, the folder and the processes of a run."""

import datetime
import os
import uuid
from pathlib import Path

import torch
from lightning.fabric.plugins.environments import (
    LSFEnvironment,
    MPIEnvironment,
    SLURMEnvironment,
)

from ilvf.checkpoints.files import run_folder
from ilvf.distributed import decided_by_first, several, under_torchrun
from ilvf.errors import UsageError, require
from ilvf.experiment.config import Config

RUN_DIR = "ILVF_RUN_DIR"  # environment variable: the run's folder, for its other processes


def run_name(config: Config) -> str:
    """The algorithm's name; VDN is QMIX with another mixer."""
    return config.algorithm.get("mixer", config.recipe)


def experiment_name(config: Config) -> str:
    """The MLflow experiment: the environment, and its task if it has several."""
    task = config.env.get("task")
    return f"{config.env.name}/{task}" if task else config.env.name


def make_run_folder(config: Config, checkpoint: Path | None) -> Path:
    """The folder of a resumed run, or a new one.

    The first process decides. The others learn it from torchrun's store or from the process group,
    or inherit it from the first process, if Lightning has started them.

    Raises:
        UsageError: it cannot be made, or several machines take part without torchrun.
    """
    require_torchrun(config.trainer.num_nodes)
    started_by_lightning = "LOCAL_RANK" in os.environ and not under_torchrun()
    if RUN_DIR in os.environ and started_by_lightning and not several():
        return Path(os.environ[RUN_DIR])
    path = decided_by_first(lambda: str(_folder(config, checkpoint)))
    os.environ[RUN_DIR] = path
    return Path(path)


def _folder(config: Config, checkpoint: Path | None) -> Path:
    """Make the folder, in the first process."""
    if checkpoint is not None and checkpoint.parent.name == "checkpoints":
        path = run_folder(checkpoint)
    else:
        stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        name = f"{run_name(config)}-{config.env.name}-s{config.seed}"
        path = Path(config.out) / f"{name}-{stamp}-{uuid.uuid4().hex[:4]}"
    make_folder(path, f"out={config.out}")
    return path.resolve()


def make_folder(path: Path, cause: str) -> None:
    """Make a folder and its parents.

    Args:
        cause: the argument that names it, for the error.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{cause}: the folder {path} cannot be made ({error.strerror})") from error


# ---------------------------------------------------------------------- processes
def require_torchrun(num_nodes: int) -> None:
    """Raise unless the run is on one machine or torchrun has started its processes."""
    if under_torchrun():
        return
    how = "torchrun --nnodes 2 --nproc-per-node 4 --rdzv-endpoint HOST:29500 -m ilvf train ..."
    require(
        num_nodes == 1,
        f"trainer.num_nodes={num_nodes} needs torchrun; start on every machine {how}",
    )
    for cluster in (SLURMEnvironment, LSFEnvironment, MPIEnvironment):
        tasks = cluster().world_size() if cluster.detect() else 1
        require(
            tasks == 1,
            f"{cluster.__name__.removesuffix('Environment')} has started {tasks} tasks; start one "
            f"task per machine, which runs {how}",
        )


def number_of_processes(accelerator: str, devices: int | list[int]) -> int:
    """Processes of this machine, one device each.

    Args:
        accelerator, devices: of `TrainerOptions`.

    Raises:
        UsageError: the machine does not have the devices.
    """
    gpus = visible_gpus(accelerator)
    if gpus == 0:
        _require_cpu_processes(devices)
    elif isinstance(devices, list):
        require(max(devices) < gpus, f"trainer.devices={devices}, but {_visible(gpus)}")
    elif devices == -1:
        return gpus
    else:
        require(devices <= gpus, f"trainer.devices={devices}, but {_visible(gpus)}")
    return len(devices) if isinstance(devices, list) else devices


def visible_gpus(accelerator: str) -> int:
    """The number of GPUs that the accelerator of a run can use; 0 if the run is on the CPU."""
    if accelerator == "cpu":
        return 0
    cuda = torch.cuda.device_count() if accelerator != "mps" else 0
    mps = torch.backends.mps.is_available() if accelerator != "cuda" else False
    return cuda or int(mps)


def _visible(gpus: int) -> str:
    return "one GPU, number 0, is visible" if gpus == 1 else f"GPUs 0 to {gpus - 1} are visible"


def _require_cpu_processes(devices: int | list[int]) -> None:
    """Raise unless `devices` processes are sensible on the CPU; two are always allowed."""
    require(
        isinstance(devices, int) and devices > 0,
        f"trainer.devices={devices} means GPUs, and the run is on the CPU; give a number of "
        "processes",
    )
    most = max(os.cpu_count() or 1, 2)
    require(
        isinstance(devices, int) and devices <= most,
        f"trainer.devices={devices} is more than the {most} processes that this machine's cores "
        "can run",
    )
