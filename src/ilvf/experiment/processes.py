"""The processes of a run: who starts them, and which devices they use."""

import os

import torch
from lightning.fabric.plugins.environments import (
    LSFEnvironment,
    MPIEnvironment,
    SLURMEnvironment,
)

from ilvf.distributed import under_torchrun
from ilvf.errors import require


def require_torchrun(num_nodes: int) -> None:
    """Raise unless the run is on one machine or torchrun has started its processes."""
    if under_torchrun():
        return
    how = "torchrun --nnodes 2 --nproc-per-node 4 --rdzv-endpoint HOST:29500 -m ilvf train ..."
    require(
        num_nodes == 1,
        f"trainer.num_nodes={num_nodes} needs torchrun; start on every machine {how}",
    )
    cluster, tasks = tasks_of_cluster()
    require(
        tasks == 1,
        f"{cluster} has started {tasks} tasks; start one task per machine, which runs {how}",
    )


def tasks_of_cluster() -> tuple[str, int]:
    """The cluster's launcher that Lightning finds, and how many tasks it has started."""
    if SLURMEnvironment.detect():
        return "SLURM", int(os.environ["SLURM_NTASKS"])
    if LSFEnvironment.detect():
        return "LSF", int(os.environ["JSM_NAMESPACE_SIZE"])
    if MPIEnvironment.detect():
        return "MPI", MPIEnvironment().world_size()
    return "", 1


def number_of_processes(accelerator: str, devices: int | list[int]) -> int:
    """Processes of this machine, one device each.

    Args:
        accelerator, devices: of `TrainerOptions`.

    Raises:
        UsageError: the machine does not have the devices.
    """
    gpus = visible_gpus(accelerator)
    require(
        gpus > 0 or accelerator in ("auto", "cpu"),
        f"trainer.accelerator={accelerator}, but no such GPU is visible; leave it out, or use cpu",
    )
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
