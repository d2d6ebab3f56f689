"""Comparison with a baseline on equal seeds: differences, intervals, tests for many comparisons.

Runs of the same seed have the same initial states of their environments, so their difference has
less noise than the difference of independent runs. Gorsane et al. (2022), "Towards a standardised
performance evaluation protocol for cooperative MARL", ask for all comparisons to be reported.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from ilvf.analysis import t_interval
from ilvf.errors import require


@dataclass(frozen=True)
class PairedComparison:
    """The runs of an algorithm minus those of the baseline of the same seed.

    Attributes:
        task, algorithm: titles.
        pairs: seeds that both have.
        difference: mean.
        interval: 95 % interval of the mean by Student's t.
        p: of the two-sided paired t test that the mean is 0; NaN for fewer than two pairs.
        adjusted_p: corrected for all comparisons with a baseline; p until `corrected` has set it.
    """

    task: str
    algorithm: str
    pairs: int
    difference: float
    interval: tuple[float, float]
    p: float
    adjusted_p: float


def compare_pairs(
    task: str, algorithm: str, values: Sequence[float], baseline: Sequence[float]
) -> PairedComparison:
    """Compare runs with those of the baseline; runs in the same position have the same seed.

    Raises:
        UsageError: there are no runs, or not as many of the baseline.
    """
    require(
        0 < len(values) == len(baseline),
        f"{algorithm} on {task} has {len(values)} runs to compare with {len(baseline)} of the "
        "baseline; give the same seeds",
    )
    differences = np.asarray(values, float) - np.asarray(baseline, float)
    p = paired_p(differences)
    return PairedComparison(
        task=task,
        algorithm=algorithm,
        pairs=len(differences),
        difference=float(differences.mean()),
        interval=t_interval(differences.tolist()),
        p=p,
        adjusted_p=p,
    )


def paired_p(differences: np.ndarray) -> float:
    """p of the two-sided t test that differences have the mean 0.

    It is NaN for fewer than two differences, and 1 or 0 if all differences are equal.
    """
    if len(differences) < 2:
        return float("nan")
    if np.ptp(differences) == 0:
        return float(differences[0] == 0)
    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def corrected(comparisons: Sequence[PairedComparison]) -> list[PairedComparison]:
    """The comparisons with p-values corrected for their number by the procedure of Holm (1979)."""
    adjusted = holm([comparison.p for comparison in comparisons])
    pairs = zip(comparisons, adjusted, strict=True)
    return [replace(comparison, adjusted_p=p) for comparison, p in pairs]


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values that control the family-wise error rate (Holm, 1979); NaN stays NaN.

    adjusted_(k) = max over j ≤ k of min((m − j + 1) p_(j), 1)    in ascending order
    """
    p = np.asarray(p_values, float)
    adjusted = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1.0)
    return adjusted.tolist()
