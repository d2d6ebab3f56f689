"""Influence on neighbours against shuffled agents."""

import math

import pytest
import torch

from ilvf.analysis import locality
from ilvf.errors import UsageError

N = 12


@pytest.fixture
def ring():
    places = torch.arange(N)
    distance = (places[:, None] - places).abs()
    return (distance == 1) | (distance == N - 1)


def test_weights_on_neighbours_alone_have_the_whole_share(ring):
    found = locality(ring.float() + torch.eye(N), ring)
    assert found.share == 1
    assert found.shuffled == pytest.approx(2 / (N - 1), abs=0.02)
    assert found.p_value == 1 / 1001


def test_equal_weights_have_the_share_of_the_pairs(ring):
    found = locality(torch.ones(N, N), ring)
    assert found.share == found.shuffled == pytest.approx(2 / (N - 1))
    assert found.p_value == 1


def test_random_weights_are_not_local(ring):
    p_values = []
    for seed in range(20):
        weight = torch.rand(N, N, generator=torch.Generator().manual_seed(seed))
        p_values.append(locality(weight, ring, shuffles=200).p_value)
    assert 0.25 < sum(p_values) / len(p_values) < 0.75


def test_without_weight_off_the_diagonal_there_is_no_share(ring):
    assert math.isnan(locality(torch.eye(N), ring).share)


@pytest.mark.parametrize("bad", [torch.ones(3, 3), -torch.ones(N, N), torch.full((N, N), math.nan)])
def test_bad_weights_are_refused(ring, bad):
    with pytest.raises(UsageError):
        locality(bad, ring)
