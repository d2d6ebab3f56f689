"""Wiener weights and the mixing of the two channels."""

import pytest
import torch

from ilvf.credit.score.shrinkage import Moments, channel_weights, squared_cosine, wiener_weight


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def moments_by_pairs(parts):
    """⟨g_j, g_k⟩ as the mean over pairs of different units, `[N, N]`."""
    units = len(parts)
    products = torch.einsum("ejd,fkd->efjk", parts, parts)
    same = torch.arange(units)
    products[same, same] = 0
    return products.sum((0, 1)) / (units * (units - 1))


def test_moments_are_unbiased():
    parts = torch.randn(9, 4, 6, dtype=torch.float64)
    found = Moments.of(parts, parts.sum(1))
    unbiased = moments_by_pairs(parts)
    mean = parts.mean(0)
    noise = (mean @ mean.T - unbiased).diagonal()
    assert torch.allclose(found.noise, noise / noise.mean())
    assert torch.allclose(found.signal, unbiased.diagonal() / noise.mean())
    assert torch.allclose(found.aligned, unbiased.sum(-1) / noise.mean())
    assert torch.allclose(found.second, mean @ mean.T / noise.mean())


@pytest.mark.parametrize("averaging", [1.0, 4.0])
def test_the_wiener_weight_minimises_the_mean_squared_error(averaging):
    """Of the mean of K estimates w·(g + noise) of g, with ‖g‖² = 3 and noise of variance 2."""
    weight = wiener_weight(torch.tensor(3.0), torch.tensor(2.0), 1e6, averaging)
    grid = torch.linspace(0, 1, 10_001)
    error = (1 - grid).square() * 3 + grid.square() * 2 / averaging
    assert torch.isclose(weight, grid[error.argmin()], atol=1e-3)


def test_the_wiener_weight_begins_at_one_half_and_ends_between_zero_and_one():
    none = torch.tensor(0.0)
    noise = torch.tensor(1.0)
    assert wiener_weight(none, noise, count=0) == 0.5
    assert wiener_weight(-noise, noise, count=100.0) == 0
    assert wiener_weight(1e6 * noise, noise, count=100.0) > 0.999


def test_channel_weights_maximise_the_cosine():
    """Against a grid over the quarter circle of weights."""
    n = 30
    parts = torch.randn(12, n, 5, dtype=torch.float64) + 0.3
    one = Moments.of(parts, parts.sum(1))
    moments = Moments(**{k: v.expand(n, *v.shape) for k, v in vars(one).items()})
    links = torch.rand(n, n, dtype=torch.float64)
    rest = 1 - links
    found = channel_weights(moments, links, rest)
    angle = torch.linspace(0, torch.pi / 2, 2001, dtype=torch.float64)
    grid = torch.stack([angle.cos(), angle.sin()], -1).expand(n, -1, -1)
    channels = torch.stack([links, rest], -2)
    gain = channels @ one.aligned
    cost = channels @ one.second @ channels.mT
    best = squared_cosine(grid.clamp_min(0), gain.clamp_min(-1e9), cost)
    best = best.where((grid @ gain.unsqueeze(-1)).squeeze(-1) > 0, 0).amax(-1)
    value = squared_cosine(found.unsqueeze(-2), gain, cost).squeeze(-1)
    helps = found.sum(-1) > 0
    assert helps.any()
    assert torch.allclose(value[helps], best[helps], rtol=1e-4)
    assert (best[~helps] < 1e-12).all()


def test_channels_that_point_away_from_the_team_are_left_out():
    moments = Moments(
        second=torch.eye(2).expand(2, 2, 2),
        signal=torch.ones(2, 2),
        aligned=torch.tensor([[-1.0, 2.0], [-1.0, -1.0]]),
        noise=torch.ones(2, 2),
    )
    first = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    found = channel_weights(moments, first, 1 - first)
    assert torch.equal(found, torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
