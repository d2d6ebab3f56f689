"""Measured effects by distance."""

import math

import pytest
import torch

from ilvf.analysis import effects_by_distance, hops_between

# Agents 0 - 1 - 2 in a row, and 3 alone.
NEIGHBOURS = torch.tensor([[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]).bool()


def squares(states=6):
    """Neighbours have 3, agents two steps apart 2, those without a way 0 in sum; own ones 9."""
    found = torch.eye(4) * 9 + NEIGHBOURS * 0.75
    found[0, 2] = 2.0
    found[0, 3], found[3, 0] = 1.0, -1.0  # noise
    return found.expand(states, 4, 4)


def test_hops():
    hops = hops_between(NEIGHBOURS)
    assert hops[0].tolist() == [0, 1, 2, math.inf]
    assert torch.equal(hops, hops.T)


def test_shares_and_means_at_every_distance():
    rings = effects_by_distance(squares(), hops_between(NEIGHBOURS))
    assert [ring.hops for ring in rings] == [1, 2, math.inf]
    assert [ring.pairs for ring in rings] == [4, 2, 6]
    assert [ring.mean_square for ring in rings] == pytest.approx([0.75, 1.0, 0.0])
    assert [ring.share for ring in rings] == pytest.approx([0.6, 0.4, 0.0])
    for ring in rings:
        assert ring.low == pytest.approx(ring.share)  # all states are equal
        assert ring.high == pytest.approx(ring.share)


def test_intervals_are_over_states():
    near = torch.zeros(4, 4)
    near[0, 1] = 1.0
    far = torch.zeros(4, 4)
    far[0, 2] = 1.0
    mixed = torch.stack([near] * 10 + [far] * 10)
    first, second, _ = effects_by_distance(mixed, hops_between(NEIGHBOURS))
    assert first.share == pytest.approx(0.5)
    assert 0.2 < first.low < 0.4 < 0.6 < first.high < 0.8
    assert second.low == pytest.approx(1 - first.high)


def test_other_shapes_are_refused(refused):
    with refused("squares (4, 4)", "hops (4, 4)", "[K, N, N]"):
        effects_by_distance(torch.zeros(4, 4), hops_between(NEIGHBOURS))
