"""Reductions over the processes of a distributed run."""

import torch.distributed as dist
from torch import Tensor


def several() -> bool:
    """Is this one of several cooperating processes?"""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def mean_over_ranks(x: Tensor) -> Tensor:
    """The mean of `x` over all processes; `x` itself if there is only one."""
    if not several():
        return x
    x = x.clone()
    dist.all_reduce(x)
    return x / dist.get_world_size()
