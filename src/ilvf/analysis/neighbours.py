"""Is influence local: how much of it lies on a graph of neighbours, against shuffled agents."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ilvf.analysis.scores import off_diagonal
from ilvf.errors import require


@dataclass(frozen=True)
class Locality:
    """Influence on neighbours, against the same matrix with shuffled agents.

    Attributes:
        share: of the off-diagonal weight that lies on neighbours.
        shuffled: its mean over random permutations of the agents.
        p_value: share of the permutations, the given order among them, with at least that much on
            neighbours.
    """

    share: float
    shuffled: float
    p_value: float


def locality(
    weight: Tensor, neighbours: Tensor, *, shuffles: int = 1000, seed: int = 0
) -> Locality:
    """Compare the influence on neighbours with that of shuffled agents (a Mantel test).

    Rows and columns are permuted together, so that each matrix keeps its weights and its graph.

    Args:
        weight: `[N, N]`, not negative; the diagonal does not count.
        neighbours: bool `[N, N]`.
        shuffles: random permutations.
        seed: of the permutations.

    Returns:
        NaN for all three if there is no weight off the diagonal.

    Raises:
        UsageError: the shapes differ, or a weight is negative or not finite.

    Source: Mantel, 1967, The detection of disease clustering and a generalized regression approach.
    """
    require(
        weight.shape == neighbours.shape and weight.ndim == 2,
        f"weight {tuple(weight.shape)}, neighbours {tuple(neighbours.shape)}: both must be [N, N]",
    )
    valid = bool((weight.isfinite() & (weight >= 0)).all())
    require(valid, "the weights must be finite and not negative")
    weight = weight.double()
    total = float(off_diagonal(weight).sum())
    if total == 0:
        return Locality(*[float("nan")] * 3)
    noise = torch.Generator().manual_seed(seed)
    order = torch.rand(shuffles, len(weight), generator=noise).argsort(-1)
    permuted = weight[order.unsqueeze(-1), order.unsqueeze(-2)]  # [shuffles, N, N]
    near = off_diagonal(neighbours)
    share = float(off_diagonal(weight)[near].sum()) / total
    shares = off_diagonal(permuted)[:, near].sum(-1) / total
    as_much = int((shares >= share - 1e-12).sum())
    return Locality(share, float(shares.mean()), (1 + as_much) / (1 + shuffles))
