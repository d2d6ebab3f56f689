"""Reductions over the processes of a distributed run, and decisions of its first process."""

import functools
import itertools
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ilvf.errors import UsageError

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


# ---------------------------------------------------------------------- decisions
def under_torchrun() -> bool:
    """Did torchrun start this process?"""
    return dist.is_available() and dist.is_torchelastic_launched()


def decided_by_first(decide: Callable[[], str]) -> str:
    """What `decide()` returns in the first process, told to all processes.

    The processes may have formed their group, or torchrun may have started them. A process that
    neither holds for decides alone.

    Raises:
        UsageError: `decide` raises one in the first process; all processes raise it.
    """
    if several():
        answer = [_answer(decide) if dist.get_rank() == 0 else None]
        dist.broadcast_object_list(answer)
        return _result(answer[0])
    if under_torchrun() and int(os.environ["WORLD_SIZE"]) > 1:
        return _result(_through_store(decide))
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


def _through_store(decide: Callable[[], str]) -> str:
    """The first process's answer, by the key-value store of torchrun."""
    job = os.environ["TORCHELASTIC_RUN_ID"]
    restarts = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    key = f"ilvf/{job}/{restarts}/{next(_numbers)}"
    store = _store()
    if os.environ["RANK"] == "0":
        store.set(key, _answer(decide))
    return store.get(key).decode()


@functools.cache
def _store() -> dist.TCPStore:
    """The store at MASTER_ADDR:MASTER_PORT, kept as long as the process lives.

    By default the agent of torchrun hosts it. Otherwise the first process hosts it, and shares it
    with the process group that is formed later.
    """
    missing = [name for name in ("MASTER_ADDR", "MASTER_PORT", "RANK") if name not in os.environ]
    if missing:
        raise UsageError(
            "TORCHELASTIC_RUN_ID says that torchrun started this process, but the environment "
            f"variable {missing[0]} is missing; start it by torchrun, or unset TORCHELASTIC_RUN_ID"
        )
    hosted_by_agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    return dist.TCPStore(
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        is_master=os.environ["RANK"] == "0" and not hosted_by_agent,
        timeout=PATIENCE,
        wait_for_workers=False,
        multi_tenant=True,
    )
