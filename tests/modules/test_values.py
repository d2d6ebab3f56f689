"""Normalization of values, mixers and target networks."""

import pytest
import torch
from torch import nn

from ilvf.modules import Mixer, ValueNorm
from ilvf.modules.targets import follow, frozen_copy
from ilvf.modules.value_norm import ReturnNorm

N = 3  # agents
D = 4  # numbers of a state


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


# ---------------------------------------------------------------------- ValueNorm
def test_moments_are_per_agent():
    """Agent 0 has the constant 5, with the floor √0.01 as deviation; agent 1 has N(−7, 3²)."""
    norm = ValueNorm((2, 1), min_variance=0.01)
    constant = torch.full((4000,), 5.0)
    x = torch.stack([constant, 3 * torch.randn(4000) - 7], 1).unsqueeze(-1)
    norm.update(x)
    mean, std = norm.moments()
    assert mean.flatten().tolist() == pytest.approx([5, -7], abs=0.2)
    assert std.flatten().tolist() == pytest.approx([0.1, 3], abs=0.15)


def test_denormalize_inverts_normalize():
    norm = ValueNorm((2, 1))
    x = 3 * torch.randn(100, 2, 1) - 7
    norm.update(x)
    assert norm.normalize(x).mean((0, 2)).tolist() == pytest.approx([0, 0], abs=1e-4)
    assert torch.allclose(norm.denormalize(norm.normalize(x)), x, atol=1e-4)


def test_the_moving_average_is_debiased():
    """β = 0.5, targets 0 then 3: first = 0 · 0.25 + 3 · 0.5 = 1.5, weight = 0.75, mean = 2."""
    norm = ValueNorm((1, 1), beta=0.5)
    for target in (0.0, 3.0):
        norm.update(torch.full((10, 1, 1), target))
    assert norm.moments()[0].item() == pytest.approx(2.0)


def test_a_large_offset_does_not_lose_the_standard_deviation():
    norm = ValueNorm((1, 1))
    norm.update(1e5 + torch.randn(20_000, 1, 1, dtype=torch.float64))
    assert norm.moments()[1].item() == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_moments_stay_exact_when_the_networks_change_their_type(kind):
    norm = ValueNorm((1, 1)).to(kind)
    norm.update(1e4 + torch.randn(20_000, 1, 1, dtype=torch.float64))
    assert norm.first.dtype == torch.float64
    assert norm.moments()[1].item() == pytest.approx(1.0, abs=0.05)


def test_moments_have_no_gradient():
    norm = ValueNorm((2, 1))
    norm.update(torch.randn(10, 2, 1))
    assert set(norm.state_dict()) == {"first", "second", "weight"}
    assert not norm.denormalize(torch.zeros(2, 1)).requires_grad


def test_min_variance_must_be_positive(refused):
    with refused("min_variance=0", "positive"):
        ValueNorm((1, 1), min_variance=0.0)


def test_a_norm_without_values_does_not_normalize(refused):
    """Its standard deviation would be the smallest that is allowed, and the loss enormous."""
    norm = ValueNorm((1, 1))
    with refused("not seen a value", "value_norm.update"):
        norm.normalize(torch.ones(4, 1, 1))
    norm.update(torch.randn(100, 1, 1))
    loaded = ValueNorm((1, 1))
    loaded.load_state_dict(norm.state_dict())
    assert torch.equal(loaded.normalize(torch.ones(1, 1)), norm.normalize(torch.ones(1, 1)))


# ---------------------------------------------------------------------- ReturnNorm
def test_an_output_of_zero_is_the_return_of_the_mean_reward():
    """γ = 0.75, so h = 4; rewards 3 ± 2: Q(0) = 4 · 3 = 12, Q(1) = 12 + √4 · 2 = 16."""
    norm = ReturnNorm((1,), 0.75)
    norm.update(torch.tensor([[1.0], [5.0]]))
    outputs = torch.tensor([0.0, 1.0])
    returns = torch.tensor([12.0, 16.0])
    assert torch.allclose(norm.denormalize(outputs), returns)
    assert torch.allclose(norm.normalize(returns), outputs, atol=1e-6)


# ---------------------------------------------------------------------- Mixer
def test_the_mixers_are_increasing_in_every_agents_value():
    state = torch.randn(200, N, D)
    value = torch.randn(200, N, 1, requires_grad=True)
    mixer = Mixer("qmix", N, D)
    for p in mixer.parameters():
        p.data += 0.3 * torch.randn_like(p)
    mixed = mixer(value, state)
    (slope,) = torch.autograd.grad(mixed.sum(), value)
    assert (slope >= 0).all()
    assert slope.std() > 0.01
    assert not torch.allclose(mixer(value, state.flip(0)), mixed)  # it depends on the state
    assert torch.allclose(Mixer("vdn", N, D)(value), value.sum(-2))


def test_an_unknown_mixer_is_one_sentence(refused):
    with refused("mixer='sum'", "vdn"):
        Mixer("sum", N, D)


# ---------------------------------------------------------------------- target networks
def test_targets_follow():
    """From 0 towards 1: with τ = 0.25 to 0.25, again to 0.4375; τ = 1 copies."""
    source = nn.Linear(2, 2)
    target = frozen_copy(source)
    for p in source.parameters():
        p.data.fill_(1.0)
    for p in target.parameters():
        p.data.fill_(0.0)
    for expected, tau in ((0.25, 0.25), (0.4375, 0.25), (1.0, 1.0)):
        follow(target, source, tau)
        assert all(torch.allclose(p, torch.tensor(expected)) for p in target.parameters())
    assert not any(p.requires_grad for p in target.parameters())


def test_rewards_of_zero_count_where_a_mask_says_that_all_live():
    plain, masked = ReturnNorm((N, 1), gamma=0.9, beta=0.9), ReturnNorm((N, 1), gamma=0.9, beta=0.9)
    for reward in (*torch.zeros(20, 8, N, 1), 10 * torch.rand(8, N, 1)):
        plain.update(reward)
        masked.update(reward, torch.ones(8, N, 1, dtype=torch.bool))
    moments = [torch.stack(norm.rewards.moments()) for norm in (plain, masked)]
    assert torch.allclose(*moments, atol=1e-5)
