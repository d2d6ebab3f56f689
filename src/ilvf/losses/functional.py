"""Tensors in, tensors out: the mathematics of credit and of the losses. No keys, no modules.

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
    return influence.diagonal_scatter(torch.ones_like(influence.diagonal(dim1=-2, dim2=-1)), dim1=-2, dim2=-1)


def standardise(x: Tensor, *, per_agent: bool = True, mask: Tensor | None = None, eps: float = 1e-8) -> Tensor:
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


def clipped_surrogate(log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, clip: float) -> tuple[Tensor, Tensor]:
    """PPO's objective  min(ρ Â, clip(ρ, 1 ± ε) Â)  and ρ = π/π_old, elementwise (Schulman et al., 2017)."""
    ratio = (log_prob - old_log_prob).exp()
    return torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage), ratio


def huber(error: Tensor, delta: float) -> Tensor:
    """½ e² within ±δ, δ (|e| − ½ δ) beyond (δ = 10 in Table 1)."""
    return torch.nn.functional.huber_loss(error, torch.zeros_like(error), reduction="none", delta=delta)


def clipped_value_loss(value: Tensor, old_value: Tensor, target: Tensor, *, clip: float, delta: float) -> Tensor:
    """max of the Huber losses of V and of V held within ±clip of the value at collection, elementwise."""
    held = old_value + (value - old_value).clamp(-clip, clip)
    return torch.maximum(huber(value - target, delta), huber(held - target, delta))


def team_mean(x: Tensor) -> Tensor:
    """Mean over the batch, SUM over agents, of `[*B, N]`: the weight of an agent does not depend on the team's size."""
    return x.sum(-1).mean()
