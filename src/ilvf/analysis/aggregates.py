"""Statistics over runs and tasks after Agarwal et al. (2021), "Deep RL at the edge of the
statistical precipice".

Scores are arrays `[R, M]`: R runs (seeds) of M tasks, normalised so that tasks can be averaged.
Intervals are percentile intervals of a bootstrap that draws runs again within every task
(stratified, section 4.1 of the paper).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ilvf.analysis.curves import RESAMPLES, UNBOUNDED

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]  # [..., R, M] → [...]
CURVE_RESAMPLES = 500
MOST_NUMBERS = 2**22  # of resampled curves at a time
LEVEL = 0.95


def interquartile_mean(scores: Array) -> Array:
    """Mean of the middle half of all runs of all tasks, `[..., R, M]` → `[...]`.

    It is the mean without the lowest and the highest quarter. Of n runs, ⌊n/4⌋ are left out on
    each side.
    """
    flat = scores.reshape(*scores.shape[:-2], -1)
    return np.asarray(stats.trim_mean(flat, 0.25, axis=-1))


def optimality_gap(scores: Array, target: float = 1.0) -> Array:
    """How far runs stay below `target`, `[..., R, M]` → `[...]`:  target − mean(min(score, target))

    Lower is better. Scores above the target do not make up for others.
    """
    return target - np.minimum(scores, target).mean(axis=(-2, -1))


def stratified_resamples(scores: Array, draws: int = RESAMPLES, seed: int = 0) -> Array:
    """Bootstrap resamples `[draws, R, M]` of scores `[R, M]`: runs are drawn within each task."""
    runs, tasks = scores.shape
    chosen = np.random.default_rng(seed).integers(runs, size=(draws, runs, tasks))
    return scores[chosen, np.arange(tasks)]


def stratified_interval(
    scores: Array, statistic: Statistic, level: float = LEVEL
) -> tuple[float, float]:
    """Stratified bootstrap interval of a statistic of scores `[R, M]`; (−∞, ∞) for one run."""
    if len(scores) < 2:
        return UNBOUNDED
    return percentiles(statistic(stratified_resamples(scores)), level)


def percentiles(values: Array, level: float = LEVEL) -> tuple[float, float]:
    """The middle `level` of the values `[draws]`."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def performance_profile(scores: Array, thresholds: Array) -> Array:
    """Share of runs whose score is above each threshold: `[..., R, M]`, `[K]` → `[..., K]`."""
    flat = scores.reshape(*scores.shape[:-2], 1, -1)
    return (flat > thresholds[:, None]).mean(axis=-1)


def profile_band(scores: Array, thresholds: Array, level: float = LEVEL) -> tuple[Array, Array]:
    """Pointwise stratified bootstrap band of the performance profile, `[K]` each."""
    profiles = performance_profile(stratified_resamples(scores), thresholds)
    low, high = np.quantile(profiles, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def probability_of_improvement(x: Array, y: Array) -> Array:
    """Probability that a run of x is better than a run of y, averaged over tasks.

    For each task it is the Mann-Whitney U statistic over the number of pairs; ties count half.

    Args:
        x: scores `[..., R, M]`.
        y: scores `[..., S, M]` of the same tasks.

    Returns:
        `[...]`, between 0 and 1.
    """
    difference = x[..., :, None, :] - y[..., None, :, :]
    better = (difference > 0) + 0.5 * (difference == 0)
    return better.mean(axis=(-3, -2, -1))


def improvement_interval(x: Array, y: Array, level: float = LEVEL) -> tuple[float, float]:
    """Stratified bootstrap interval of the probability of improvement; both are drawn again."""
    if min(len(x), len(y)) < 2:
        return UNBOUNDED
    first = stratified_resamples(x, seed=0)
    second = stratified_resamples(y, seed=1)
    return percentiles(probability_of_improvement(first, second), level)


def curve_band(curves: Array, level: float = LEVEL) -> tuple[Array, Array, Array]:
    """Interquartile mean of curves over runs and tasks, and its pointwise stratified band.

    Args:
        curves: `[R, M, K]`, K points of R runs of M tasks. Whole curves are drawn again, within
            each task.

    Returns:
        The mean and the lower and upper limits, `[K]` each; for one run the limits are the curve.
    """
    mean = iqm_of_points(curves)
    if len(curves) < 2:
        return mean, mean, mean
    means = means_of_resamples(curves)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return mean, low, high


def iqm_of_points(curves: Array) -> Array:
    """Interquartile mean of each point over runs and tasks, `[..., R, M, K]` → `[..., K]`."""
    return interquartile_mean(np.moveaxis(curves, -1, -3))


def means_of_resamples(curves: Array) -> Array:
    """Interquartile means of stratified bootstrap resamples of curves, `[R, M, K]` → `[draws, K]`.

    Blocks of points are computed one after the other, so that large studies fit in memory.
    """
    points = curves.shape[-1]
    blocks = min(points, -(-CURVE_RESAMPLES * curves.size // MOST_NUMBERS))
    means = []
    for block in np.array_split(curves, max(1, blocks), axis=-1):
        means.append(iqm_of_points(curve_resamples(block)))
    return np.concatenate(means, axis=-1)


def curve_resamples(curves: Array) -> Array:
    """Stratified bootstrap resamples of curves, `[R, M, K]` → `[draws, R, M, K]`."""
    runs, tasks, _ = curves.shape
    chosen = np.random.default_rng(0).integers(runs, size=(CURVE_RESAMPLES, runs, tasks))
    return curves[chosen, np.arange(tasks)]
