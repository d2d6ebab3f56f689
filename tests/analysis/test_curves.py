"""Confidence intervals and the summary table of learning curves, worked out by hand."""

import math

import pandas as pd
import pytest

from ilvf.analysis import bootstrap_interval, summarise, t_interval
from ilvf.analysis.curves import last_tenth

INFINITE = (float("-inf"), float("inf"))


def test_t_interval():
    """1, 2, 3: mean 2, sd 1, t(0.975, 2) = 4.303, half width 4.303/√3 = 2.484."""
    assert t_interval([1.0, 2.0, 3.0]) == pytest.approx((2 - 2.484, 2 + 2.484), abs=1e-3)
    assert t_interval([1.0]) == INFINITE


def test_bootstrap_interval():
    """No resample of 1, 2, 3 has a mean outside [1, 3].

    One resample in 27 is all ones, so the 95 % interval nearly is [1, 3].
    """
    low, high = bootstrap_interval([[1.0, 2.0, 3.0]], lambda x: sum(x) / len(x), paired=False)
    assert 1.0 <= low <= 1.34
    assert 2.66 <= high <= 3.0
    assert bootstrap_interval([[1.0]], sum, paired=False) == INFINITE


def test_the_last_tenth_is_that_of_the_values():
    """No episode ends in the last iteration."""
    gaps = pd.Series([float("nan"), 1.0, 2.0, float("nan")], [10, 20, 30, 40])
    assert last_tenth(gaps) == 2.0
    assert last_tenth(pd.Series(range(20), range(20), dtype=float)) == 18.5
    assert math.isnan(last_tenth(pd.Series([float("nan")], [10])))


def test_share_of_the_oracles_gain():
    """Start −3. The oracle's curve has mean −1 and the other −2, half of the gain."""
    groups = {
        "influence=learned": [pd.Series([-3.0, -2.0, -1.0])],
        "influence=reward_graph": [pd.Series([-3.0, 0.0, 0.0])],
    }
    table = summarise(groups)
    assert table["share of oracle's gain"].tolist() == ["0.50", "1.00"]
    assert table["last tenth"].str.startswith(("-1.000", "0.000")).all()


def test_no_share_without_an_oracle():
    table = summarise({"a": [pd.Series([0.0, 1.0])], "b": [pd.Series([0.0, 2.0])]})
    assert list(table) == ["seeds", "whole curve", "last tenth"]


def test_a_single_run_has_its_value_alone():
    table = summarise({"a": [pd.Series([0.0, 1.0], name=3)]}, baseline="a")
    assert table.loc["a"].tolist() == ["1", "0.500", "1.000", "1.00"]


def test_curves_that_gain_nothing_have_no_share_and_no_ratio():
    flat = [pd.Series([1.0, 1.0], name=seed) for seed in (0, 1)]
    table = summarise({"reward_graph": flat, "b": flat}, baseline="b")
    assert list(table) == ["seeds", "whole curve", "95 %", "last tenth"]


def test_gain_over_a_baseline_is_paired_by_seed():
    """Start −4. Gains of seeds 1 and 2: 2 and 3 against 1 and 1.5.

    The ratio is 2 in every resample of pairs. Seed 7 has no partner and does not count.
    """
    groups = {
        "mine": [
            pd.Series([-4.0, 0.0], name=1),
            pd.Series([-4.0, 2.0], name=2),
            pd.Series([-4.0, 9.0], name=7),
        ],
        "mappo": [pd.Series([-4.0, -2.0], name=1), pd.Series([-4.0, -1.0], name=2)],
        "other seeds": [pd.Series([-4.0, 0.0], name=8)],
    }
    table = summarise(groups, baseline="mappo")
    ratios = ["2.00 [2.00, 2.00]", "1.00 [1.00, 1.00]", ""]
    assert table["gain / mappo"].tolist() == ratios
    assert table["seeds"].tolist() == ["3", "2", "1"]
