"""The processes of a run: who starts them, and which devices they use."""

import os

import torch
from lightning.fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    LSFEnvironment,
    MPIEnvironment,
    SLURMEnvironment,
)

from ilvf.distributed import launched, slurm_tasks
from ilvf.errors import require

TORCHRUN = "torchrun --nnodes 2 --nproc-per-node 4 --rdzv-endpoint HOST:29500 -m ilvf train ..."


def require_launcher(accelerator: str, devices: int | list[int], num_nodes: int) -> None:
    """Raise unless the processes of a run are those that a launcher has started, if one has.

    Args:
        accelerator, devices, num_nodes: of `TrainerOptions`.

    Raises:
        UsageError: a launcher has started another number of processes; several machines have no
            launcher; or a launcher that cannot be used has started several tasks.
    """
    launch = launched()
    if launch is None:
        require(
            num_nodes == 1,
            f"trainer.num_nodes={num_nodes} needs torchrun or srun; start on every machine "
            f"{TORCHRUN}",
        )
        _require_one_task()
        return
    here = number_of_processes(accelerator, devices)
    each = max(launch.per_machine, 1)
    require(
        here == each and here * num_nodes == launch.size,
        f"{launch.by} has started {launch.size} processes, {each} on each machine, "
        f"but trainer.devices={devices} and trainer.num_nodes={num_nodes} mean {here} on each of "
        f"{num_nodes}; give trainer.devices={each} trainer.num_nodes={launch.size // each}",
    )


def _require_one_task() -> None:
    """Raise if a cluster has several tasks, and no launcher that can tell them decisions."""
    require(
        slurm_tasks() == 1,
        f"SLURM has reserved {slurm_tasks()} tasks, and srun has not started this process; begin "
        "the command with srun, or reserve --ntasks=1",
    )
    cluster = ""
    tasks = 1
    if LSFEnvironment.detect():
        cluster = "LSF"
        tasks = int(os.environ["JSM_NAMESPACE_SIZE"])
    elif MPIEnvironment.detect():
        cluster = "MPI"
        tasks = MPIEnvironment().world_size()
    require(
        tasks == 1,
        f"{cluster} has started {tasks} tasks; start one task per machine, which runs {TORCHRUN}",
    )


def cluster_environment(processes: int) -> list[ClusterEnvironment]:
    """What tells Lightning about the processes, where its own choice would be wrong.

    Under srun Lightning would queue a stopped job again, which then would not continue its run. In
    a SLURM job with one task it would wait for processes that nobody starts.

    Args:
        processes: of this machine.
    """
    launch = launched()
    if launch is not None:
        return [SLURMEnvironment(auto_requeue=False)] if launch.by == "srun" else []
    return [LightningEnvironment()] if processes > 1 and SLURMEnvironment.detect() else []


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
