"""The score test's number z: its distribution without influence, and its power."""

import pytest
import torch
from scipy.stats import chi2, norm

from ilvf.credit.score.statistics import (
    as_normal,
    blocks_of,
    cut_in_time,
    largest_statistic,
    merged,
    score_test,
)

UNITS = 40
STEPS = 12
SIGNALS = 400


def test_it_is_the_formula():
    score = torch.randn(5, 3, 4, dtype=torch.float64)
    signal = torch.randn(5, 3, 2, dtype=torch.float64)
    moment = torch.einsum("etd,etc->ecd", score, signal)
    for c, z in enumerate(score_test(score, signal)):
        products = moment[:, c] @ moment[:, c].T
        products.fill_diagonal_(0)
        variance = 2 * products.square().sum()
        third = 8 * torch.linalg.matrix_power(products, 3).trace()
        u = products.sum() / variance.sqrt()
        assert torch.isclose(z, as_normal(u, third / variance**1.5))


@pytest.mark.parametrize("degrees", [1, 2, 8, 50])
def test_chi_squares_become_normal(degrees):
    """Quantiles of a standardised chi-square, at those of the normal distribution."""
    quantile = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    drawn = torch.from_numpy(chi2.ppf(norm.cdf(quantile), degrees))
    u = (drawn - degrees) / (2 * degrees) ** 0.5
    found = as_normal(u, torch.tensor((8 / degrees) ** 0.5))
    upper = quantile >= 1
    assert torch.allclose(found[upper], quantile[upper], atol=0.2)


def test_false_alarms_are_as_rare_as_those_of_a_normal_variable():
    """One direction of the score dominates, which skews u most; 1 in 740 exceeds 3."""
    torch.manual_seed(0)
    size = torch.tensor([1.0, 0.1, 0.1])
    above = [
        score_test(torch.randn(UNITS, STEPS, 3) * size, torch.randn(UNITS, STEPS, 500)) > 3
        for _ in range(20)
    ]
    assert torch.stack(above).float().mean() < 0.003


@pytest.mark.parametrize("width", [1, 8, 100])
def test_without_influence_it_has_mean_zero_and_sd_one(width):
    """Scores of mean zero, and signals that do not depend on them, strongly correlated in time."""
    torch.manual_seed(0)
    score = torch.randn(UNITS, STEPS, width)
    signal = torch.randn(UNITS, STEPS, SIGNALS).cumsum(1)
    z = score_test(score, signal)
    assert z.mean().abs() < 4 / SIGNALS**0.5
    assert 0.85 < z.std() < 1.15


def test_signals_that_depend_on_the_action_are_found():
    torch.manual_seed(0)
    score = torch.randn(UNITS, STEPS, 8)
    signal = torch.randn(UNITS, STEPS, 50) + 0.5 * score[..., :1]
    assert score_test(score, signal).min() > 4


def test_it_is_at_most_what_the_units_allow():
    """All units agree exactly. Random signs give 2 of 2^7 possible results so large."""
    same = torch.ones(7, 3, 2)
    largest = largest_statistic(7)
    assert torch.isclose(score_test(same, same)[0], torch.tensor(largest))
    assert norm.isf(2**-6) < largest < norm.isf(2**-9)
    assert largest_statistic(40) > 5
    assert largest_statistic(1) == 0


def test_a_signal_without_variation_gives_zero():
    assert not score_test(torch.randn(6, 4, 3), torch.zeros(6, 4, 2)).any()


@pytest.mark.parametrize(
    ("envs", "steps", "blocks"), [(64, 50, 1), (8, 50, 5), (4, 180, 10), (1, 100, 10), (3, 5, 1)]
)
def test_blocks_make_forty_units_where_steps_allow_it(envs, steps, blocks):
    assert blocks_of(envs, steps, units=40, shortest=10) == blocks


def test_many_environments_are_merged_into_units():
    x = torch.arange(100 * 3).reshape(100, 3, 1).float()
    units = merged(x, 40)
    assert units.shape == (50, 6, 1)
    assert torch.equal(units.reshape(100, 3, 1), x)
    assert merged(x, 33).shape == (34, 9, 1)
    assert merged(x, 60) is x


def test_blocks_keep_every_step():
    x = torch.arange(2 * 50).reshape(2, 50, 1).float()
    cut = cut_in_time(x, 3)
    assert cut.shape == (6, 17, 1)
    assert torch.equal(cut.reshape(2, 51, 1)[:, :50], x)
    assert not cut[2, -1].any()
