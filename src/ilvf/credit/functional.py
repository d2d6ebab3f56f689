"""The mathematics of credit: tensors in, tensors out.

Axes: `*B` any batch, `N` agents. Rows of an influence matrix are acting agents, columns are the
agents whose returns they move.
"""

import torch
from torch import Tensor

from ilvf.credit.sparse import SparseInfluence
from ilvf.distributed import mean_over_ranks
from ilvf.errors import require
from ilvf.modules.checks import require_dtype, require_floats, require_tensor
from ilvf.options.arguments import require_flags, require_number


def local_advantage(influence: Tensor | SparseInfluence, advantage: Tensor) -> Tensor:
    """Credit each agent with the returns that its action moved:  Â_i = Σ_j Ŵ_ij A_j  (eq. 10).

    Ŵ = 1 is the team's summed advantage (MAPPO), Ŵ = I each agent's own (IPPO-C).

    Args:
        influence: Ŵ `[*B, N, N]`, or `[N, N]` for one graph in all states; or a `SparseInfluence`.
        advantage: A `[*B, N, 1]`, of every agent.

    Returns:
        Â `[*B, N, 1]`.
    """
    if isinstance(influence, SparseInfluence):
        require_floats("the advantage", advantage)
        return influence.mixed(advantage)
    require_floats("the influence", influence)
    require_floats("the advantage", advantage)
    found = tuple(influence.shape)
    agents = tuple(advantage.shape[-2:])
    n = agents[0] if agents else 0
    require(
        agents[1:] == (1,) and found[-2:] == (n, n),
        f"local_advantage has an influence {found} and advantages {tuple(advantage.shape)}; "
        "need [*B, N, N] and [*B, N, 1]",
    )
    require(
        len(found) == 2 or found[:-2] == tuple(advantage.shape[:-2]),
        f"the influence has the batch {found[:-2]}, the advantage {tuple(advantage.shape[:-2])}; "
        "give one graph [N, N], or one for each row",
    )
    require_dtype(influence, advantage, "the influence", "the advantage")
    return influence @ advantage


def force_diagonal(influence: Tensor) -> Tensor:
    """Ŵ_ii = 1: every agent is credited with its own return (i ∈ N_i^+, Definition 2)."""
    require_tensor("the influence", influence)
    found = tuple(influence.shape)
    require(
        len(found) >= 2 and found[-1] == found[-2],
        f"the influence must be square, [*B, N, N], found {found}",
    )
    diagonal = influence.diagonal(dim1=-2, dim2=-1)
    return influence.diagonal_scatter(torch.ones_like(diagonal), dim1=-2, dim2=-1)


def standardise(
    x: Tensor, *, per_agent: bool = True, mask: Tensor | None = None, eps: float = 1e-8
) -> Tensor:
    """(x − mean) / std over the batch of `[*B, N, 1]`; moments are averaged over all processes.

    The moments are centered, E[(x − mean)²], and computed in float32 at least: E[x²] − E[x]²
    cancels where the mean is much larger than the standard deviation.

    Args:
        x: `[*B, N, 1]`.
        per_agent: moments of every agent; False pools the agents.
        mask: bool `[*B, N, 1]`; only True entries count in the moments.
        eps: added to the standard deviation.
    """
    require_floats("the advantage", x)
    require(x.ndim >= 2, f"standardise needs [*B, N, 1], found {tuple(x.shape)}")
    require_flags("standardise", per_agent=per_agent)
    require_number("standardise", "eps", eps, least=0)
    if mask is not None:
        require_tensor("the mask", mask)
        same = mask.shape == x.shape and mask.dtype == torch.bool
        found = f"{tuple(mask.shape)} and dtype {mask.dtype}"
        require(same, f"the mask has shape {found}; need bool {tuple(x.shape)}, True = counts")
    if x.ndim == 2:  # one state: the axes of the batch would be none, which means all
        rows = None if mask is None else mask.unsqueeze(0)
        return standardise(x.unsqueeze(0), per_agent=per_agent, mask=rows, eps=eps).squeeze(0)
    axes = tuple(range(x.ndim - 2)) if per_agent else tuple(range(x.ndim))
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    alive = None if mask is None else mask.to(wide.dtype)
    centered = wide - _means([wide], axes, alive)[0]
    error, variance = _means([centered, centered.square()], axes, alive)
    std = (variance - error.square()).clamp_min(0).sqrt()  # `error`: rounding error of the mean
    return ((centered - error) / (std + eps)).to(x.dtype)


def _means(values: list[Tensor], axes: tuple[int, ...], alive: Tensor | None) -> Tensor:
    """Means over axes of the batch and over all processes, stacked.

    Args:
        values: tensors of one shape.
        axes: to average over.
        alive: weights 1 and 0 of the entries; entries of weight 0 may be anything. None for all 1.
    """
    if alive is None:
        return mean_over_ranks(torch.stack([value.mean(axes) for value in values]))
    dead = alive == 0
    sums = [value.masked_fill(dead, 0).sum(axes) for value in values]
    *sums, count = mean_over_ranks(torch.stack([*sums, alive.sum(axes)]))
    return torch.stack(sums) / count.clamp_min(1e-12)
