"""Learning curves over seeds: intervals and tables."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    import pandas as pd


def t_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Student's confidence interval of the mean; (−∞, ∞) for a single value."""
    from scipy import stats

    x = torch.tensor(values, dtype=torch.float64)
    if len(x) < 2:
        return float("-inf"), float("inf")
    half = stats.t.ppf(0.5 + level / 2, len(x) - 1) * x.std().item() / len(x) ** 0.5
    return x.mean().item() - half, x.mean().item() + half


def bootstrap_interval(
    samples: Sequence[Sequence[float]],
    statistic: Callable[..., float],
    *,
    paired: bool,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile bootstrap of a statistic of one or several samples of runs; paired: the same seeds drawn for all."""
    from scipy import stats

    if min(map(len, samples)) < 2:
        return float("-inf"), float("inf")
    options = dict(
        paired=paired,
        vectorized=False,
        confidence_level=level,
        method="percentile",
        n_resamples=2000,
    )
    found = stats.bootstrap(tuple(samples), statistic, rng=0, **options).confidence_interval
    return float(found.low), float(found.high)


def summarise(
    groups: "Mapping[str, Sequence[pd.Series]]",
    oracle: str = "reward_graph",
    baseline: str | None = None,
) -> "pd.DataFrame":
    """One row per group of curves: means over the whole run and its last tenth, and gains over the start.

        gain  = curve mean − start                      start: mean first point of all runs
        share = gain / gain of the oracle               the first group whose label has the word `oracle`
        ratio = gain / gain of the baseline             the group whose label is `baseline`, over the same seeds

    Intervals are bootstrapped over runs (95 %); the ratio's over pairs of runs with the same seed.
    """
    import pandas as pd

    start = pd.Series([c.iloc[0] for curves in groups.values() for c in curves]).mean()
    whole = {k: pd.Series({c.name: c.mean() for c in curves}) for k, curves in groups.items()}
    best = next((whole[k].mean() for k in groups if oracle in k), None)
    rows = {}
    for label, curves in groups.items():
        last = pd.Series([c.iloc[-max(1, len(c) // 10) :].mean() for c in curves])
        low, high = bootstrap_interval([whole[label].tolist()], _mean, paired=False)
        rows[label] = {
            "seeds": len(curves),
            "whole curve": f"{whole[label].mean():.3f} ± {whole[label].std():.3f}",
            "95 %": f"[{low:.3f}, {high:.3f}]",
            "last tenth": f"{last.mean():.3f} ± {last.std():.3f}",
            "share of oracle's gain": ""
            if best is None
            else f"{(whole[label].mean() - start) / (best - start):.2f}",
        }
        if baseline is not None and baseline in groups:
            rows[label][f"gain / {baseline}"] = _ratio(
                whole[label] - start, whole[baseline] - start
            )
    return pd.DataFrame.from_dict(rows, orient="index")


def _ratio(gain: "pd.Series", base: "pd.Series") -> str:
    """Ratio of mean gains over common seeds, and its paired interval."""
    seeds = gain.index.intersection(base.index)
    if len(seeds) == 0:
        return ""
    pair = gain[seeds].tolist(), base[seeds].tolist()
    low, high = bootstrap_interval(pair, lambda x, y: _mean(x) / _mean(y), paired=True)
    return f"{_mean(pair[0]) / _mean(pair[1]):.2f} [{low:.2f}, {high:.2f}]"


def _mean(x: Sequence[float]) -> float:
    return float(sum(x) / len(x))
