"""Learning curves over several seeds: bootstrap intervals and a summary table."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    import pandas as pd

UNBOUNDED = (float("-inf"), float("inf"))  # the interval for a single run
RESAMPLES = 2000


def t_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Student's t confidence interval of a mean; (−∞, ∞) for a single value."""
    from scipy import stats

    x = torch.tensor(values, dtype=torch.float64)
    if len(x) < 2:
        return UNBOUNDED
    mean = x.mean().item()
    half = stats.t.ppf(0.5 + level / 2, len(x) - 1) * x.std().item() / len(x) ** 0.5
    return mean - half, mean + half


def bootstrap_interval(
    samples: Sequence[Sequence[float]],
    statistic: Callable[..., float],
    *,
    paired: bool,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a statistic; (−∞, ∞) for a single run.

    Args:
        samples: one or several samples, a number per run.
        statistic: called with one resample of each sample.
        paired: draw the same positions from all samples; runs in the same position must have the
            same seed.
        level: of confidence.
    """
    from scipy import stats

    if min(map(len, samples)) < 2:
        return UNBOUNDED
    found = stats.bootstrap(
        tuple(samples),
        statistic,
        paired=paired,
        vectorized=False,
        confidence_level=level,
        method="percentile",
        n_resamples=RESAMPLES,
        rng=0,
    ).confidence_interval
    return float(found.low), float(found.high)


def summarise(
    groups: "Mapping[str, Sequence[pd.Series]]",
    oracle: str = "reward_graph",
    baseline: str | None = None,
) -> "pd.DataFrame":
    """Summary table of groups of learning curves, one row a group.

        gain  = mean of the whole curve − start     start: mean first point of all runs
        share = gain / gain of the oracle
        ratio = gain / gain of the baseline         over the seeds that both groups have

    Intervals are bootstrapped over runs (95 %), those of the ratio over pairs of equal seed. A
    single run has no standard deviation and no interval. A column without an entry is left out.

    Args:
        groups: label → curves; the name of a curve is its seed.
        oracle: the first group whose label contains this word is the oracle; without such a group
            there is no share.
        baseline: label of the baseline's group; None leaves the ratio out.
    """
    import pandas as pd

    start = float(pd.Series([c.iloc[0] for curves in groups.values() for c in curves]).mean())
    means = {label: run_means(curves) for label, curves in groups.items()}
    best = oracle_mean(means, oracle)
    rows = {}
    for label, curves in groups.items():
        whole = means[label]
        rows[label] = {
            "seeds": str(len(curves)),
            "whole curve": mean_and_sd(whole),
            "95 %": in_brackets(bootstrap_interval([whole.tolist()], mean_of, paired=False), 3),
            "last tenth": mean_and_sd(pd.Series([last_tenth(c) for c in curves])),
            "share of oracle's gain": share_of(float(whole.mean()), start, best),
        }
        if baseline is not None and baseline in groups:
            ratio = gain_ratio(whole - start, means[baseline] - start)
            rows[label][f"gain / {baseline}"] = ratio
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.loc[:, (table != "").any()]


def mean_and_sd(values: "pd.Series") -> str:
    """Mean ± standard deviation; the value alone if there is only one."""
    if len(values) < 2:
        return f"{values.mean():.3f}"
    return f"{values.mean():.3f} ± {values.std():.3f}"


def in_brackets(interval: tuple[float, float], digits: int) -> str:
    """`[low, high]`; empty for an interval that is not known."""
    low, high = interval
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"[{low:.{digits}f}, {high:.{digits}f}]"


def share_of(mean: float, start: float, best: float | None) -> str:
    """Part of the oracle's gain; empty without an oracle, or if it gains nothing."""
    if best is None or best == start:
        return ""
    return f"{(mean - start) / (best - start):.2f}"


def run_means(curves: "Sequence[pd.Series]") -> "pd.Series":
    """Mean of every curve, by seed."""
    import pandas as pd

    return pd.Series({c.name: whole_curve(c) for c in curves})


def oracle_mean(means: "Mapping[str, pd.Series]", oracle: str) -> float | None:
    """Mean of the first group whose label contains `oracle`; None without one."""
    for label, values in means.items():
        if oracle in label:
            return float(values.mean())
    return None


def whole_curve(curve: "pd.Series") -> float:
    """Mean of a whole curve over its frames; NaN without a value.

    A curve has no value where no episode ended. A mean of its values alone would count those parts
    most in which many episodes end. So it is interpolated at the smallest distance of two values;
    with n_k such steps between the values k and k + 1, this is the mean

        (v_0 + Σ_k [n_k (v_k + v_{k+1}) / 2 + (v_{k+1} − v_k) / 2]) / (1 + Σ_k n_k)

    Without a gap every n_k is 1, and it is the mean of the values.
    """
    points = curve.dropna().sort_index()
    values = points.to_numpy(float)
    distance = np.diff(points.index.to_numpy(float))
    if not (distance > 0).any():
        return float(points.mean())
    steps = distance / distance[distance > 0].min()
    left = values[:-1]
    right = values[1:]
    total = values[0] + (steps * (left + right) / 2 + (right - left) / 2).sum()
    return float(total / (1 + steps.sum()))


def last_tenth(curve: "pd.Series") -> float:
    """Mean of the last tenth of a curve's values, at least of the last one; NaN without a value."""
    values = curve.dropna()
    return float(values.iloc[-max(1, len(values) // 10) :].mean())


def gain_ratio(gain: "pd.Series", base: "pd.Series", sign: int = 0) -> str:
    """Ratio of mean gains over common seeds with its paired interval.

    It is empty without a common seed, and if the baseline may gain nothing: the 95 % interval of
    its mean gain contains 0. The interval of the ratio is left out for a single seed.

    Args:
        gain: gain of every run, by seed.
        base: the same of the baseline.
        sign: 1 if higher values are better, −1 if lower ones are; a baseline that becomes worse
            has no ratio then. 0: it is not known.
    """
    gain = gain.dropna()
    base = base.dropna()
    seeds = gain.index.intersection(base.index)
    numerator = gain[seeds].tolist()
    denominator = base[seeds].tolist()
    if not denominator or may_be_zero(denominator) or sign * mean_of(denominator) < 0:
        return ""
    interval = bootstrap_interval([numerator, denominator], ratio_of_means, paired=True)
    return f"{ratio_of_means(numerator, denominator):.2f} {in_brackets(interval, 2)}".rstrip()


def may_be_zero(values: Sequence[float]) -> bool:
    """Does the bootstrap interval of a mean contain 0? For a single value: is it 0?"""
    low, high = bootstrap_interval([values], mean_of, paired=False)
    return low <= 0 <= high if len(values) > 1 else values[0] == 0


def ratio_of_means(x: Sequence[float], y: Sequence[float]) -> float:
    """mean(x) / mean(y); NaN if mean(y) is 0."""
    below = mean_of(y)
    return mean_of(x) / below if below else math.nan


def mean_of(x: Sequence[float]) -> float:
    """The mean of numbers."""
    return float(sum(x) / len(x))
