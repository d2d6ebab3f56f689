"""The score test's number z: its distribution without influence, and its power."""

import pytest
import torch

from ilvf.credit.score.statistics import (
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
        assert torch.isclose(z, products.sum() / (2 * products.square().sum()).sqrt())


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
    signal = torch.randn(UNITS, STEPS, 50) + 0.4 * score[..., :1]
    assert score_test(score, signal).min() > 4.5


def test_it_is_at_most_what_the_units_allow():
    """All units agree exactly: z is sqrt(E (E − 1) / 2)."""
    same = torch.ones(7, 3, 2)
    assert torch.isclose(score_test(same, same)[0], torch.tensor(largest_statistic(7)))


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
