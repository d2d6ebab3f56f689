"""Measures worked out by hand."""

import pandas as pd
import pytest
import torch
from torch import tensor

from ilvf.analysis import auroc, bootstrap_interval, density, summarise, t_interval
from ilvf.envs import value_graph


def test_density_leaves_the_diagonal_out():
    assert density(tensor([[1.0, 1.0], [0.0, 1.0]])).item() == 0.5


def test_auroc_by_hand():
    """True pairs score 0.9 and 0.2, false ones 0.5, 0.1, 0.1, 0.1: of 8 comparisons 0.2 against 0.5 is lost: 7/8."""
    truth = tensor([[1, 1, 0], [0, 1, 0], [1, 0, 1]], dtype=torch.bool)
    score = tensor([[0.0, 0.9, 0.5], [0.1, 0.0, 0.1], [0.2, 0.1, 0.0]])
    assert auroc(score, truth).item() == pytest.approx(7 / 8)
    assert auroc(score, torch.ones(3, 3, dtype=torch.bool)).item() == 0.5  # nothing to tell apart


def test_t_interval_by_hand():
    """1, 2, 3: mean 2, sd 1, t(0.975, 2) = 4.303, half width 4.303/√3 = 2.484."""
    assert t_interval([1.0, 2.0, 3.0]) == pytest.approx((2 - 2.484, 2 + 2.484), abs=1e-3)


def test_share_of_the_oracles_gain():
    """Start −3; the oracle's curve has mean −1, the other −2: half of the gain."""
    groups = {
        "influence=learned": [pd.Series([-3.0, -2.0, -1.0])],
        "influence=reward_graph": [pd.Series([-3.0, 0.0, 0.0])],
    }
    table = summarise(groups)
    assert table["share of oracle's gain"].tolist() == ["0.50", "1.00"]


def test_gain_over_a_baseline_is_paired_by_seed():
    """Start −4; gains of seeds 1 and 2: 2 and 3 against 1 and 1.5. The ratio is 2 in every resample of pairs."""
    groups = {
        "mine": [
            pd.Series([-4.0, 0.0], name=1),
            pd.Series([-4.0, 2.0], name=2),
            pd.Series([-4.0, 9.0], name=7),
        ],
        "mappo": [pd.Series([-4.0, -2.0], name=1), pd.Series([-4.0, -1.0], name=2)],
    }
    table = summarise(groups, baseline="mappo")
    assert table["gain / mappo"].tolist() == ["2.00 [2.00, 2.00]", "1.00 [1.00, 1.00]"]
    assert table["seeds"].tolist() == [3, 2]


def test_bootstrap_interval():
    """Of 1, 2, 3: no resample has a mean outside [1, 3]; one in 27 is all ones, so the 95 % interval nearly is that."""
    low, high = bootstrap_interval([[1.0, 2.0, 3.0]], lambda x: sum(x) / len(x), paired=False)
    assert 1.0 <= low <= 1.34
    assert 2.66 <= high <= 3.0
    assert bootstrap_interval([[1.0]], sum, paired=False) == (float("-inf"), float("inf"))


def test_value_graph_of_a_chain():
    """0 observes 1, 1 observes 2, rewards are own: V_0 depends on all, V_1 on 1 and 2, V_2 on itself."""
    eye = torch.eye(3, dtype=torch.bool)
    observes = eye.clone()
    observes[0, 1] = observes[1, 2] = True
    assert value_graph(observes, eye, eye).int().tolist() == [[1, 1, 1], [0, 1, 1], [0, 0, 1]]
