"""Numbers far from zero, 16 bits and rare draws: nothing cancels, nothing becomes infinite."""

import functools

import pytest
import torch
from torch.nn import functional as F

from helpers import bare_trainer
from ilvf.algorithms import COMA, ILVFP
from ilvf.credit import standardise
from ilvf.credit.discretise import noisy
from ilvf.envs import Encircle
from ilvf.modules import CategoricalActor, CounterfactualCritic, InfluenceCritic
from ilvf.modules.actors.categorical import sample_action
from ilvf.modules.actors.network import mask_outputs
from ilvf.modules.attention import gumbel_like, gumbel_sigmoid
from ilvf.modules.critics.influence import OwnFirst, normalized_concat
from ilvf.modules.options import NetworkOptions

N = 4  # agents
D = 6  # numbers of a state
B = 500  # rows


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


# ---------------------------------------------------------------------- standardise
def exactly_standardised(x, axes, mask=None):
    x = x.double()
    if mask is None:
        return (x - x.mean(axes, keepdim=True)) / x.std(axes, correction=0, keepdim=True)
    weight = mask.double()
    count = weight.sum(axes, keepdim=True)
    mean = (x * weight).sum(axes, keepdim=True) / count
    variance = ((x - mean).square() * weight).sum(axes, keepdim=True) / count
    return (x - mean) / variance.sqrt()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("per_agent", [True, False])
@pytest.mark.parametrize("mean", [0.0, 20.0, 1e4, -1e4])
def test_standardise_is_exact_for_any_mean(mean, per_agent, masked):
    x = mean + torch.randn(B, N, 1)
    mask = torch.rand(B, N, 1) < 0.6 if masked else None
    axes = (0,) if per_agent else (0, 1, 2)
    found = standardise(x, per_agent=per_agent, mask=mask)
    expected = exactly_standardised(x, axes, mask)
    assert torch.allclose(found.double(), expected, atol=1e-5)


def test_dead_entries_may_be_anything():
    x = 1e4 + torch.randn(B, N, 1)
    mask = torch.rand(B, N, 1) < 0.6
    x[~mask] = torch.nan
    assert torch.isfinite(standardise(x, mask=mask)[mask]).all()


def test_standardise_computes_16_bits_in_32():
    x = (20 + torch.randn(B, N, 1)).bfloat16()
    found = standardise(x)
    assert found.dtype == torch.bfloat16
    expected = exactly_standardised(x, (0,))
    assert torch.allclose(found.double(), expected, atol=0.02)  # the rounding of the result


def test_a_constant_becomes_zero():
    assert standardise(torch.full((B, N, 1), 0.1)).abs().max() == 0
    assert standardise(torch.full((B, N, 1), 12345.678)).abs().max() < 1e-3


# ---------------------------------------------------------------------- weighted states
def concatenated(state, weight):
    """concat_j w_ij s_j, feature by feature, in float64."""
    weighted = weight.double().unsqueeze(-2) * state.double().mT.unsqueeze(-3)
    return weighted.flatten(-2)


@pytest.mark.parametrize("mean", [0.0, 20.0, 1e4])
@pytest.mark.parametrize("weights", [torch.rand(B, N, N), torch.ones(B, N, N)], ids=["any", "ones"])
def test_the_norm_of_weighted_states_is_exact_for_any_mean(mean, weights):
    state = mean + torch.randn(B, N, D)
    found = normalized_concat(state, weights).permute(2, 0, 1)
    expected = F.layer_norm(concatenated(state, weights), (N * D,))
    error = (found.double() - expected).abs().max()
    assert (
        error < 4 * max(abs(mean), 10) * 2**-24
    )  # a few roundings of numbers as large as the mean


@pytest.mark.parametrize("mean", [0.0, 20.0])
def test_the_norm_of_weighted_states_is_computed_in_32_bits_under_autocast(mean):
    """Its result is rounded to 16 bits afterwards, where the next layer reads it."""
    first = OwnFirst(N, D, 3, NetworkOptions(hidden=8))
    state = mean + torch.randn(B, N, D)
    weight = torch.rand(B, N, N)
    exact = first.value(state, weight)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(normalized_concat(state, weight), normalized_concat(state, weight))
        assert normalized_concat(state, weight.bfloat16()).dtype == torch.float32
        rounded = first.value(state, weight)
    assert (rounded.float() - exact).abs().max() < 0.05 * exact.std()


# ---------------------------------------------------------------------- bf16-mixed
def ilvf_p(**options):
    torch.manual_seed(0)
    env = Encircle(N)
    actor = CategoricalActor(N, env.observation_dim, env.n_actions, hidden=8)
    critic = InfluenceCritic(N, env.state_dim, env.n_actions, hidden=8)
    return with_small_options(ILVFP, actor, critic, **options)


def coma(**options):
    torch.manual_seed(0)
    env = Encircle(N)
    actor = CategoricalActor(N, env.observation_dim, env.n_actions, hidden=8)
    critic = CounterfactualCritic(N, env.state_dim, env.n_actions, hidden=8)
    return with_small_options(COMA, actor, critic, **options)


def with_small_options(kind, actor, critic, **options):
    small = dict(num_envs=8, rollout_steps=10, epochs=2, minibatches=2, eval_every=100)
    make = functools.partial(Encircle, N, horizon=10)
    return kind(make, actor, critic, eval_episodes=2, **{**small, **options})


@pytest.mark.parametrize("make", [ilvf_p, coma])
def test_advantages_are_estimated_in_full_precision(make):
    module = make()
    estimate = module.advantage
    seen = []

    def watched(rollout):
        seen.append(torch.is_autocast_enabled("cpu"))
        estimate(rollout)
        again = rollout.select(("agents", "state"), ("agents", "action"))
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            exact, _ = module.loss.critic.predict(
                again["agents", "state"], again["agents", "action"]
            )
        assert rollout["agents", "normalised_value"].dtype == torch.float32
        assert torch.allclose(rollout["agents", "normalised_value"], exact, atol=1e-6)

    watched.tensor_keys = estimate.tensor_keys
    watched.source = getattr(estimate, "source", None)  # COMA's has none
    module.__dict__["advantage"] = watched
    bare_trainer(2, precision="bf16-mixed").fit(module)
    assert seen == [False, False]


@pytest.mark.parametrize("make", [ilvf_p, coma])
def test_the_first_minibatch_of_a_bf16_run_has_importance_ratio_one(make):
    """Collection and loss compute the probabilities in the same precision."""
    module = make(lr=0.01)
    step = module.training_step
    ratios = []

    def watched(batch, batch_idx):
        assert torch.is_autocast_enabled("cpu")
        with torch.no_grad():
            log_prob, _ = module.loss.actor.evaluate(batch)
            ratios.append((log_prob - batch["agents", "action_log_prob"]).exp())
        return step(batch, batch_idx)

    module.training_step = watched
    bare_trainer(2, precision="bf16-mixed").fit(module)
    for k in (0, 4):  # the first step of both iterations
        assert (ratios[k] - 1).abs().max() < 1e-6
    assert (ratios[3] - 1).abs().max() > 1e-3  # and then the policy moves


# ---------------------------------------------------------------------- Gumbel noise
@pytest.fixture
def zeros_drawn(monkeypatch):
    """Every uniform number that is drawn is 0, as one in 2²⁴ is."""

    def rand(shape, generator=None, dtype=None, device=None):
        return torch.zeros(shape, dtype=dtype, device=device)

    monkeypatch.setattr("ilvf.modules.attention.torch.rand", rand)


@pytest.mark.usefixtures("zeros_drawn")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_the_noise_is_finite_where_the_uniform_number_is_zero(dtype):
    x = torch.zeros(3, dtype=dtype)
    assert torch.isfinite(gumbel_like(x)).all()
    assert gumbel_sigmoid(x, 1.0).dtype == dtype
    assert torch.isfinite(noisy(torch.tensor([0.0, 0.5, 1.0], dtype=dtype), 1.0)).all()


@pytest.mark.parametrize("possible", range(3))
def test_an_impossible_action_is_never_chosen(monkeypatch, possible):
    """The possible action draws u = 0, the impossible ones draw numbers next to 1."""
    drawn = torch.full((3,), 1 - 2**-24)
    drawn[possible] = 0
    monkeypatch.setattr("ilvf.modules.attention.torch.rand", lambda *_, **__: drawn.clone())
    mask = torch.zeros(3, dtype=torch.bool)
    mask[possible] = True
    log_probs = mask_outputs(torch.zeros(3), mask).log_softmax(-1)
    assert sample_action(log_probs) == possible


def test_the_noise_of_a_seed_is_that_of_older_versions():
    generator = torch.Generator().manual_seed(3)
    u = torch.rand(1000, generator=torch.Generator().manual_seed(3))
    expected = -torch.log(-torch.log(u))
    assert torch.equal(gumbel_like(torch.zeros(1000), generator), expected)


def test_16_bit_logits_get_noise_of_32_bits():
    noise = gumbel_like(torch.zeros(20_000, dtype=torch.bfloat16))
    assert noise.unique().numel() > 15_000
    below = (noise < -1.5).float().mean().item()
    assert below == pytest.approx(torch.tensor(1.5).exp().neg().exp().item(), abs=0.003)
