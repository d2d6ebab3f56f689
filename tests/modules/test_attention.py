"""Gumbel attention: its weights before training, its temperature and its noise."""

import pytest
import torch

from ilvf.modules import GumbelAttention, gumbel_sigmoid

N = 5  # agents
D = 6  # numbers of a state


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize(
    ("initial", "on", "off"), [("random", 0.5, 0.5), ("identity", 0.88, 0.12), ("ones", 0.88, 0.88)]
)
def test_initial_weights(initial, on, off):
    """sigmoid(0) = 0.5, sigmoid(2) = 0.88, sigmoid(−2) = 0.12; states change them by about 0.01."""
    attention = GumbelAttention(N, D, initial=initial)
    weight = attention.weight(attention(torch.randn(100, N, D))).mean(0)
    diagonal = torch.eye(N, dtype=torch.bool)
    assert weight[diagonal].mean().item() == pytest.approx(on, abs=0.02)
    assert weight[~diagonal].mean().item() == pytest.approx(off, abs=0.02)


def test_a_low_temperature_moves_the_weights_towards_0_and_1():
    h = torch.tensor([-1.0, 0.5, 2.0]).expand(5000, 3)

    def share_between(tau):
        w = gumbel_sigmoid(h, tau)
        return ((w > 0.1) & (w < 0.9)).float().mean()

    assert share_between(0.1) < 0.3 * share_between(1.0)


@pytest.mark.parametrize("h", [-1.0, 0.0, 1.0])
def test_the_noise_has_the_gumbel_distribution(h):
    """P(h + g > 0) = 1 − exp(−exp(h))."""
    share = (gumbel_sigmoid(torch.full((200_000,), h), 1.0) > 0.5).float().mean()
    expected = 1 - torch.tensor(h).exp().neg().exp()
    assert share.item() == pytest.approx(expected.item(), abs=0.005)


def test_weights_can_be_sampled_under_vmap():
    sample = torch.vmap(lambda h: gumbel_sigmoid(h, 1.0), randomness="different")
    draws = sample(torch.zeros(4, 3, 3))
    assert draws.shape == (4, 3, 3)
    assert not torch.equal(draws[0], draws[1])
