"""Measures worked out by hand."""

import pandas as pd
import pytest
import torch
from torch import tensor

from ilvf.analysis import auroc, density, summarise, t_interval
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


def test_value_graph_of_a_chain():
    """0 observes 1, 1 observes 2, rewards are own: V_0 depends on all, V_1 on 1 and 2, V_2 on itself."""
    eye = torch.eye(3, dtype=torch.bool)
    observes = eye.clone()
    observes[0, 1] = observes[1, 2] = True
    assert value_graph(observes, eye, eye).int().tolist() == [[1, 1, 1], [0, 1, 1], [0, 0, 1]]
