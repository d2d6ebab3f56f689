"""The mathematics of credit: tensors in, tensors out.

Axes: `*B` any batch, `N` agents. Rows of an influence matrix are acting agents, columns are the
agents whose returns they move.
"""

import torch
from torch import Tensor

from ilvf.distributed import mean_over_ranks


def local_advantage(influence: Tensor, advantage: Tensor) -> Tensor:
    """Credit each agent with the returns that its action moved:  Â_i = Σ_j Ŵ_ij A_j  (eq. 10).

    Ŵ = 1 is the team's summed advantage (MAPPO), Ŵ = I each agent's own (IPPO-C).

    Args:
        influence: Ŵ `[*B, N, N]`, or `[N, N]` for one graph in all states.
        advantage: A `[*B, N, 1]`, of every agent.

    Returns:
        Â `[*B, N, 1]`.
    """
    return influence @ advantage


def force_diagonal(influence: Tensor) -> Tensor:
    """Ŵ_ii = 1: every agent is credited with its own return (i ∈ N_i^+, Definition 2)."""
    diagonal = influence.diagonal(dim1=-2, dim2=-1)
    return influence.diagonal_scatter(torch.ones_like(diagonal), dim1=-2, dim2=-1)


def standardise(
    x: Tensor, *, per_agent: bool = True, mask: Tensor | None = None, eps: float = 1e-8
) -> Tensor:
    """(x − mean) / std over the batch of `[*B, N, 1]`; moments are averaged over all processes.

    Args:
        x: `[*B, N, 1]`.
        per_agent: moments of every agent; False pools the agents.
        mask: bool `[*B, N, 1]`; only True entries count in the moments.
        eps: added to the standard deviation.
    """
    axes = tuple(range(x.ndim - 2)) if per_agent else tuple(range(x.ndim))
    if mask is None:
        first, second = mean_over_ranks(torch.stack([x.mean(axes), x.square().mean(axes)]))
    else:
        kept = x.masked_fill(~mask, 0)
        sums = [kept.sum(axes), kept.square().sum(axes), mask.sum(axes).to(x.dtype)]
        first, second, count = mean_over_ranks(torch.stack(sums))
        count = count.clamp_min(1e-12)
        first = first / count
        second = second / count
    std = (second - first.square()).clamp_min(0).sqrt()
    return (x - first) / (std + eps)
