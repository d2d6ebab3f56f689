"""Scores of influence weights against a graph, worked out by hand."""

import pytest
import torch
from torch import tensor

from ilvf.analysis import auroc, average_precision, calibration_error, density, off_diagonal


def test_off_diagonal_entries():
    assert off_diagonal(torch.arange(9).view(3, 3)).tolist() == [1, 2, 3, 5, 6, 7]


def test_density_leaves_the_diagonal_out():
    assert density(tensor([[1.0, 1.0], [0.0, 1.0]])).item() == 0.5


def test_auroc():
    """True pairs have 0.9 and 0.2, false ones 0.5, 0.1, 0.1, 0.1.

    Of 8 comparisons only 0.2 against 0.5 is wrong: 7/8.
    """
    truth = tensor([[1, 1, 0], [0, 1, 0], [1, 0, 1]], dtype=torch.bool)
    score = tensor([[0.0, 0.9, 0.5], [0.1, 0.0, 0.1], [0.2, 0.1, 0.0]])
    assert auroc(score, truth).item() == pytest.approx(7 / 8)


def test_equal_scores_count_half_in_auroc():
    """0.3 of a true pair is above 0.1 and equal to 0.3 of the two false pairs.

    The other three true pairs have 0.9, above both.
    """
    truth = tensor([[1, 1, 1], [1, 1, 1], [0, 0, 1]], dtype=torch.bool)
    score = tensor([[0.0, 0.3, 0.9], [0.9, 0.0, 0.9], [0.1, 0.3, 0.0]])
    wins = 3 * 2 + 1 + 0.5  # of 4 true and 2 false pairs
    assert auroc(score, truth).item() == pytest.approx(wins / 8)


@pytest.mark.parametrize("truth", [torch.ones(3, 3).bool(), torch.eye(3).bool()])
def test_auroc_is_chance_if_there_is_only_one_kind_of_pair(truth):
    assert auroc(torch.rand(3, 3), truth).item() == 0.5


def test_average_precision_and_calibration_error():
    """Pairs (0, 1) and (1, 0) are true with 0.9 and 0.6; the false ones have 0.7, 0.1, 0.1, 0.1."""
    truth = tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)
    weight = tensor([[0.0, 0.9, 0.7], [0.6, 0.0, 0.1], [0.1, 0.1, 0.0]])
    # In order of the weight: 0.9 true, 0.7 false, 0.6 true. Precision at the true ones 1/1, 2/3.
    assert average_precision(weight, truth).item() == pytest.approx((1 + 2 / 3) / 2)
    # Bins: 0.9 (|1 − 0.9|), 0.7 (|0 − 0.7|), 0.6 (|1 − 0.6|) and three of 0.1 (|0 − 0.1| each).
    expected = (0.1 + 0.7 + 0.4 + 3 * 0.1) / 6
    assert calibration_error(weight, truth).item() == pytest.approx(expected, abs=1e-4)
