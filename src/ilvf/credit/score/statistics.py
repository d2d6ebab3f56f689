"""The test: is a score correlated with a signal? One number z per signal, N(0, 1) if it is not."""

import math

import torch
from torch import Tensor

LEAST_SKEWNESS = 0.01  # below, the formula of `as_normal` loses digits
MOST_SKEWNESS = math.sqrt(8)  # of a chi-square with one degree of freedom


def score_test(score: Tensor, signal: Tensor) -> Tensor:
    """z of every signal, from E independent units of a rollout.

        g_e = Σ_t s_t x_t,    K_ee' = g_e · g_e',
        u = Σ_{e≠e'} K_ee' / sqrt(2 Σ_{e≠e'} K²_ee'),    z = as_normal(u, skewness)

    If the action moves no signal, g_e has mean zero in every unit, so that products of different
    units have mean zero too. u has mean 0 and variance 1 then, but is as skewed as a chi-square
    where few directions of g dominate. `as_normal` makes a normal variable of it.

    Args:
        score: s ⊗ φ `[E, T, D]`: scores of one agent times its features.
        signal: x `[E, T, C]`.

    Returns:
        `[C]`; 0 for a signal without any variation.
    """
    return pair_test(torch.bmm(signal.mT, score))


def pair_test(moment: Tensor) -> Tensor:
    """z `[C]` of the moments g `[E, C, D]`; see `score_test`.

    The third moment of Σ K_ee' without influence is 8 Σ K_ef K_fg K_ge over distinct e, f, g.
    """
    by_signal = moment.transpose(0, 1)
    gram = by_signal @ by_signal.mT  # [C, E, E]
    gram.diagonal(dim1=-2, dim2=-1).zero_()
    scale = math.sqrt(2) * torch.linalg.vector_norm(gram.flatten(1), dim=-1)
    varies = scale > 0
    gram /= scale.where(varies, 1)[:, None, None]
    third = 8 * ((gram @ gram) * gram).sum((-2, -1))
    return torch.where(varies, as_normal(gram.sum((-2, -1)), third), 0)


def as_normal(u: Tensor, skewness: Tensor) -> Tensor:
    """A normal variable from a skewed one, by a chi-square of the same three moments.

        z = ((1 + γ u / 2)^{1/3} − (1 − γ² / 36)) / (γ / 6)

    That chi-square has 8/γ² degrees of freedom, and the cube root makes it normal (Wilson and
    Hilferty, 1931). z tends to u as γ → 0. Skewness is kept in [0.01, √8].

    Args:
        u: mean 0, variance 1.
        skewness: γ.
    """
    gamma = skewness.clamp(LEAST_SKEWNESS, MOST_SKEWNESS)
    root = (1 + gamma * u / 2).clamp_min(0).pow(1 / 3)
    return (root - (1 - gamma.square() / 36)) / (gamma / 6)


def largest_statistic(units: int) -> float:
    """The largest z that `units` units can give: all have the same g."""
    pairs = units * (units - 1)
    if pairs == 0:
        return 0.0
    skewness = 8 * pairs * (units - 2) / (2 * pairs) ** 1.5
    gamma = min(max(skewness, LEAST_SKEWNESS), MOST_SKEWNESS)
    root = (1 + gamma * math.sqrt(pairs / 2) / 2) ** (1 / 3)
    return (root - (1 - gamma**2 / 36)) / (gamma / 6)


def largest_mean(score: Tensor) -> float:
    """The largest mean of a score's components, in standard errors.

    1/n is added to the standard error of n scores: actions that are too rare to be among them leave
    a small constant score.

    Args:
        score: `[E, L, N, P]`.
    """
    rows = score.flatten(0, 1)
    n = len(rows)
    error = rows.std(0, correction=0) / n**0.5 + 1 / n
    return float((rows.mean(0).abs() / error).nan_to_num(0).max())


def blocks_of(n_envs: int, steps: int, units: int, shortest: int) -> int:
    """Time blocks per environment, so that environments × blocks ≥ units where steps allow it.

    Args:
        n_envs: environments, over all processes.
        steps: of each.
        units: wanted.
        shortest: fewest steps of a block.
    """
    wanted = -(-units // n_envs)
    return max(1, min(wanted, steps // shortest))


def merged(x: Tensor, units: int) -> Tensor:
    """`[E, L, ...]` → `[⌈E / k⌉, k·L, ...]`, k = ⌊E / units⌋; the last unit is filled up with 0.

    The test's time grows with E². It loses the products within a merged unit only, a share of
    about 1 / units.
    """
    together = x.shape[0] // units
    if together <= 1:
        return x
    missing = -x.shape[0] % together
    if missing:
        x = torch.cat([x, x.new_zeros(missing, *x.shape[1:])])
    return x.reshape(-1, together * x.shape[1], *x.shape[2:])


def cut_in_time(x: Tensor, blocks: int) -> Tensor:
    """`[E, T, ...]` → `[E·blocks, L, ...]`, L = ⌈T / blocks⌉; zeros fill up the last block."""
    length = -(-x.shape[1] // blocks)
    missing = length * blocks - x.shape[1]
    if missing:
        filler = x.new_zeros(x.shape[0], missing, *x.shape[2:])
        x = torch.cat([x, filler], 1)
    return x.reshape(x.shape[0] * blocks, length, *x.shape[2:])
