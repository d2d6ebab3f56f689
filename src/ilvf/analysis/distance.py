"""Measured effects by the distance of two agents on a graph of neighbours."""

from dataclasses import dataclass

import torch
from scipy.sparse.csgraph import shortest_path
from torch import Tensor

from ilvf.errors import require

DRAWS = 2000  # of the bootstrap


@dataclass(frozen=True)
class Ring:
    """The pairs of agents at one distance.

    Attributes:
        hops: the distance, steps from neighbour to neighbour; infinite without a way.
        pairs: number of ordered pairs.
        mean_square: mean squared effect of a pair.
        share: of the sum of all squared effects on other agents.
        low: lower end of the share's bootstrap interval over states.
        high: upper end.
    """

    hops: float
    pairs: int
    mean_square: float
    share: float
    low: float
    high: float


def hops_between(neighbours: Tensor) -> Tensor:
    """Steps from neighbour to neighbour, `[N, N]` with 0 on the diagonal; infinite without a way.

    Args:
        neighbours: bool `[N, N]`, row → column.
    """
    return torch.from_numpy(shortest_path(neighbours.cpu().numpy(), unweighted=True))


def effects_by_distance(squares: Tensor, hops: Tensor, *, level: float = 0.05) -> list[Ring]:
    """How far measured effects reach, near pairs first.

    Args:
        squares: unbiased estimates of squared effects, `[K, N, N]`; `Audit.squares`. Noise can
            make some of them negative.
        hops: `[N, N]`, see `hops_between`.
        level: 1 − confidence of the intervals.

    Raises:
        UsageError: the shapes differ.
    """
    n = len(hops)
    require(
        squares.ndim == 3 and tuple(squares.shape[1:]) == (n, n),
        f"squares {tuple(squares.shape)} and hops {tuple(hops.shape)} do not fit: need "
        "[K, N, N] and [N, N]",
    )
    distances = [float(d) for d in hops.unique() if d > 0]
    rings = [hops == d for d in distances]
    sums = torch.stack([squares[:, ring].double().sum(-1) for ring in rings], -1)  # [K, rings]
    share = shares(sums)
    noise = torch.Generator().manual_seed(0)
    chosen = torch.randint(len(sums), (DRAWS, len(sums)), generator=noise)
    limits = torch.tensor([level / 2, 1 - level / 2], dtype=torch.float64)
    low, high = shares(sums[chosen]).quantile(limits, 0)
    found = []
    for k, (distance, ring) in enumerate(zip(distances, rings, strict=True)):
        pairs = int(ring.sum())
        mean = float(sums[:, k].mean()) / pairs
        found.append(Ring(distance, pairs, mean, float(share[k]), float(low[k]), float(high[k])))
    return found


def shares(sums: Tensor) -> Tensor:
    """The parts of sums `[..., K, rings]` over states in their total, `[..., rings]`."""
    mean = sums.mean(-2)
    return mean / mean.sum(-1, keepdim=True)
