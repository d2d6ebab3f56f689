"""The mathematics of credit: tensors in, tensors out.

Axes: `*B` any batch, `N` agents. Influence matrices: row = acting agent, column = agent whose return it moves.
"""

import torch
from torch import Tensor

from ilvf.distributed import mean_over_ranks


def local_advantage(influence: Tensor, advantage: Tensor) -> Tensor:
    """Credit each agent with the returns that its action moved:  Â_i = Σ_j Ŵ_ij A_j  (eq. 10).

    influence `[*B, N, N]` (or `[N, N]`, one graph for all), advantage `[*B, N, 1]` → `[*B, N, 1]`.
    Ŵ = 1 is the team's summed advantage (MAPPO), Ŵ = I each agent's own (IPPO-C).
    """
    return influence @ advantage


def force_diagonal(influence: Tensor) -> Tensor:
    """Ŵ_ii = 1: every agent is credited with its own return (i ∈ N_i^+, Definition 2)."""
    return influence.diagonal_scatter(
        torch.ones_like(influence.diagonal(dim1=-2, dim2=-1)), dim1=-2, dim2=-1
    )


def standardise(
    x: Tensor, *, per_agent: bool = True, mask: Tensor | None = None, eps: float = 1e-8
) -> Tensor:
    """(x − mean) / std over the batch of `[*B, N, 1]`, moments per agent or pooled, averaged over all processes.

    mask bool `[*B, N, 1]`: only its True entries count in the moments.
    """
    axes = tuple(range(x.ndim - 2)) if per_agent else tuple(range(x.ndim))
    if mask is None:
        first, second = mean_over_ranks(torch.stack([x.mean(axes), x.square().mean(axes)]))
    else:
        kept = x.masked_fill(~mask, 0)
        sums = torch.stack([kept.sum(axes), kept.square().sum(axes), mask.sum(axes).to(x.dtype)])
        first, second, count = mean_over_ranks(sums)
        first, second = first / count.clamp_min(1e-12), second / count.clamp_min(1e-12)
    std = (second - first.square()).clamp_min(0).sqrt()
    return (x - first) / (std + eps)
