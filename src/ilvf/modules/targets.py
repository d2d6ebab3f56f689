"""Target networks: frozen copies that follow the learned networks."""

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


def frozen_copy(module: M) -> M:
    """A copy whose parameters need no gradient."""
    return copy.deepcopy(module).requires_grad_(False)


@torch.no_grad()
def follow(target: nn.Module, source: nn.Module, tau: float) -> None:
    """Move a target network towards its source:  θ̄ ← (1 − τ) θ̄ + τ θ.

    Args:
        target, source: modules with the same parameters, θ̄ and θ. Buffers are left alone.
        tau: τ; 1 copies.
    """
    targets: list[Tensor] = list(target.parameters())
    sources: list[Tensor] = list(source.parameters())
    if not targets:
        return
    if tau == 1:
        torch._foreach_copy_(targets, sources)
    else:
        torch._foreach_lerp_(targets, sources, tau)
