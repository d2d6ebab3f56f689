"""Learning curves over seeds: intervals and tables."""

from collections.abc import Mapping, Sequence
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


def summarise(groups: "Mapping[str, Sequence[pd.Series]]", oracle: str = "reward_graph") -> "pd.DataFrame":
    """One row per group of curves: their means over the whole run and its last tenth, the share of the oracle's gain.

        share = (curve mean − start) / (oracle's curve mean − start)

    start: mean first point of all runs. The oracle is the first group whose label has that word.
    """
    import pandas as pd

    start = pd.Series([c.iloc[0] for curves in groups.values() for c in curves]).mean()
    best = next((pd.Series([c.mean() for c in curves]).mean() for k, curves in groups.items() if oracle in k), None)
    rows = {}
    for label, curves in groups.items():
        whole = pd.Series([c.mean() for c in curves])
        last = pd.Series([c.iloc[-max(1, len(c) // 10) :].mean() for c in curves])
        low, high = t_interval(whole.tolist())
        rows[label] = {
            "seeds": len(curves),
            "whole curve": f"{whole.mean():.3f} ± {whole.std():.3f}",
            "95 %": f"[{low:.3f}, {high:.3f}]",
            "last tenth": f"{last.mean():.3f} ± {last.std():.3f}",
            "share of oracle's gain": "" if best is None else f"{(whole.mean() - start) / (best - start):.2f}",
        }
    return pd.DataFrame.from_dict(rows, orient="index")
