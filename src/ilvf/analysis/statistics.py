"""Tests and intervals of the audit; the sample is the first axis, the states."""

import torch
from scipy import stats
from torch import Tensor

from ilvf.errors import require

TINY = 1e-300  # keeps divisions by a standard error of 0 finite
NO_GRADIENT = 1e-30  # keeps divisions by a squared norm of 0 finite


def unbiased_square(x: Tensor, axis: int) -> Tensor:
    """Unbiased estimate of E[x]²:  Σ_{r≠r'} x_r x_r' / (R (R − 1)).

    The square of a sample mean also has the square of its noise; products of different samples
    do not.

    Args:
        x: R independent samples along `axis`.
        axis: removed from the result.
    """
    r = x.shape[axis]
    return (x.sum(axis).square() - x.square().sum(axis)) / (r * (r - 1))


def t_test(samples: Tensor, level: float) -> tuple[Tensor, Tensor, Tensor]:
    """One-sided t test that a mean is 0, against a positive one.

    Args:
        samples: `[K, ...]`.
        level: 1 − confidence of the interval.

    Returns:
        The mean, the half width of its two-sided interval, the p-value, `[...]` each.
    """
    k = samples.shape[0]
    require(k >= 2, "the audit needs at least two states")
    mean = samples.double().mean(0)
    error = samples.double().std(0) / k**0.5
    certain = torch.where(mean > 0, torch.inf, -torch.inf)
    t = torch.where(error > 0, mean / error.clamp_min(TINY), certain)
    p = torch.from_numpy(stats.t.sf(t.numpy(), k - 1))
    half = float(stats.t.ppf(1 - level / 2, k - 1)) * error
    return mean, half, p


def discoveries(p: Tensor, level: float) -> Tensor:
    """Significant pairs by the procedure of Benjamini and Hochberg (1995), bool `[N, N]`.

    It controls the false discovery rate over the off-diagonal pairs. An entry of the diagonal is
    significant if its own p-value is at most `level`.

    Args:
        p: p-values `[N, N]`.
        level: the false discovery rate.
    """
    found = p <= level
    pairs = ~torch.eye(len(p), dtype=torch.bool)
    if pairs.any():
        adjusted = stats.false_discovery_control(p[pairs].numpy())
        found[pairs] = torch.from_numpy(adjusted <= level)
    return found


def root_ratio(part: Tensor, whole: Tensor) -> Tensor:
    """√(Σ part / Σ whole) over the last axis; 0 if noise makes Σ part negative."""
    return (part.sum(-1).clamp_min(0) / whole.sum(-1).clamp_min(NO_GRADIENT)).sqrt()


def ratio_interval(
    part: Tensor, whole: Tensor, level: float, draws: int = 1000
) -> tuple[float, float]:
    """Percentile bootstrap interval of `root_ratio` over states `[K]`."""
    noise = torch.Generator().manual_seed(0)
    chosen = torch.randint(len(part), (draws, len(part)), generator=noise)
    ratios = root_ratio(part.cpu()[chosen], whole.cpu()[chosen]).double()
    limits = torch.tensor([level / 2, 1 - level / 2], dtype=torch.float64)
    low, high = torch.quantile(ratios, limits).tolist()
    return low, high
