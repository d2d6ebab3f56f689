"""Reductions over the processes of a distributed run, and decisions of its first process."""

import functools
import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ilvf.errors import UsageError, require

PATIENCE = timedelta(minutes=10)  # how long a process waits for the first one's decision
_numbers = itertools.count()  # of the decisions; all processes take them in the same order


def several() -> bool:
    """Is this one of several cooperating processes?"""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def mean_over_ranks(x: Tensor) -> Tensor:
    """The mean of `x` over all processes; `x` itself if there is only one."""
    return sum_over_ranks(x) / dist.get_world_size() if several() else x


def rank() -> int:
    """This process's number; 0 if there is only one."""
    return dist.get_rank() if several() else 0


def number_of_ranks() -> int:
    """How many processes cooperate."""
    return dist.get_world_size() if several() else 1


def sum_over_ranks(x: Tensor) -> Tensor:
    """The sum of `x` over all processes; `x` itself if there is only one.

    A contiguous copy is reduced, because NCCL refuses tensors with other strides.
    """
    if not several():
        return x
    total = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total


def gather_over_ranks(x: Tensor) -> Tensor:
    """`x` `[E, ...]` of all processes, joined along the first axis; the same E everywhere."""
    if not several():
        return x
    mine = x.contiguous()
    sent = mine.to(torch.uint8) if mine.dtype == torch.bool else mine
    parts = [torch.empty_like(sent) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, sent)
    return torch.cat(parts).to(x.dtype)


# ---------------------------------------------------------------------- launchers
@dataclass(frozen=True)
class Launch:
    """How a launcher has started this process, possibly on several machines.

    Attributes:
        by: its command, `torchrun` or `srun`.
        rank: number of this process.
        size: processes of the run, on all machines.
        per_machine: processes of each machine.
        job: tells this start of the run from others.
    """

    by: str
    rank: int
    size: int
    per_machine: int
    job: str


def launched() -> Launch | None:
    """The launcher that has started this process; None if it is Lightning or nobody.

    Raises:
        UsageError: variables of the launcher are missing.
    """
    if under_torchrun():
        return _torchrun()
    if slurm_tasks() > 1 and "SLURM_STEP_ID" in os.environ:
        return _srun()
    return None


def under_torchrun() -> bool:
    """Did torchrun start this process?"""
    return dist.is_available() and dist.is_torchelastic_launched()


def slurm_tasks() -> int:
    """The tasks of SLURM's job; 1 outside SLURM and in an interactive shell of SLURM."""
    if os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive"):
        return 1
    return int(os.environ.get("SLURM_NTASKS", "1"))


def _torchrun() -> Launch:
    restarts = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size > 1:
        for name in ("MASTER_ADDR", "MASTER_PORT", "RANK"):
            require(
                name in os.environ,
                "TORCHELASTIC_RUN_ID says that torchrun started this process, but the environment "
                f"variable {name} is missing; start it by torchrun, or unset TORCHELASTIC_RUN_ID",
            )
    return Launch(
        "torchrun",
        rank=int(os.environ.get("RANK", "0")),
        size=size,
        per_machine=int(os.environ.get("LOCAL_WORLD_SIZE", size)),
        job=f"{os.environ['TORCHELASTIC_RUN_ID']}/{restarts}",
    )


def _srun() -> Launch:
    tasks = slurm_tasks()
    for name in ("SLURM_PROCID", "SLURM_NTASKS_PER_NODE"):
        require(
            name in os.environ,
            f"srun has started {tasks} tasks, but the environment variable {name} is missing; "
            "start them by srun --nodes=2 --ntasks-per-node=4",
        )
    restarts = os.environ.get("SLURM_RESTART_COUNT", "0")
    step = os.environ["SLURM_STEP_ID"]
    return Launch(
        "srun",
        rank=int(os.environ["SLURM_PROCID"]),
        size=tasks,
        per_machine=int(os.environ["SLURM_NTASKS_PER_NODE"]),
        job=f"{os.environ.get('SLURM_JOB_ID', '0')}.{step}/{restarts}",
    )


# ---------------------------------------------------------------------- decisions
def decided_by_first(decide: Callable[[], str]) -> str:
    """What `decide()` returns in the first process, told to all processes.

    The processes may have formed their group, or torchrun or srun may have started them, also on
    other machines. A process that neither holds for decides alone.

    Raises:
        UsageError: `decide` raises one in the first process; all processes raise it.
    """
    if several():
        answer = [_answer(decide) if dist.get_rank() == 0 else None]
        dist.broadcast_object_list(answer)
        return _result(answer[0])
    launch = launched()
    if launch is not None and launch.size > 1:
        return _result(_through_store(decide, launch))
    return decide()


def _answer(decide: Callable[[], str]) -> str:
    """The decision, or the sentence of its UsageError, with a prefix that tells them apart."""
    try:
        return f"decision:{decide()}"
    except UsageError as error:
        return f"error:{error}"


def _result(answer: Any) -> str:
    """The decision in an answer."""
    kind, _, text = answer.partition(":")
    if kind == "error":
        raise UsageError(text)
    return text


def _through_store(decide: Callable[[], str], launch: Launch) -> str:
    """The first process's answer, by a key-value store that all processes reach."""
    key = f"ilvf/{launch.job}/{next(_numbers)}"
    store = _store(launch.by, launch.rank == 0)
    if launch.rank == 0:
        store.set(key, _answer(decide))
    return store.get(key).decode()


@functools.cache
def _store(launcher: str, first: bool) -> dist.TCPStore:
    """The store at MASTER_ADDR:MASTER_PORT, kept as long as the process lives.

    By default the agent of torchrun hosts it. Otherwise the first process hosts it, and shares it
    with the process group that is formed later. Under srun, Lightning derives address and port
    from SLURM's list of machines and number of the job.
    """
    if launcher == "srun":
        from lightning.fabric.plugins.environments import SLURMEnvironment

        cluster = SLURMEnvironment(auto_requeue=False)
        address = cluster.main_address
        port = cluster.main_port
    else:
        address = os.environ["MASTER_ADDR"]
        port = int(os.environ["MASTER_PORT"])
    return dist.TCPStore(
        address,
        port,
        is_master=first and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True",
        timeout=PATIENCE,
        wait_for_workers=False,
        multi_tenant=True,
    )
