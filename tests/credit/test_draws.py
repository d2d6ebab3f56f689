"""The random draws of the influence: how often, from which generator, compiled and vmapped."""

import pytest
import torch

from credit_helpers import A, B, D, N, gae, valued_rollout
from ilvf.credit import Bernoulli, ILVFAdvantage, Soft, Threshold, standardise
from ilvf.credit.functional import force_diagonal, local_advantage
from ilvf.credit.sources import InfluenceSource
from ilvf.modules import InfluenceCritic
from ilvf.modules.attention import gumbel_sigmoid


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


# ---------------------------------------------------------------------- how often
def test_every_call_draws_anew():
    td = valued_rollout()
    estimator = ILVFAdvantage(gae(), discretise=Bernoulli())
    first = estimator(td.copy())["agents", "influence"]
    assert not torch.equal(estimator(td.copy())["agents", "influence"], first)


def test_a_draw_can_be_kept_while_the_values_change():
    estimator = ILVFAdvantage(gae(), discretise=Bernoulli())
    td = estimator(valued_rollout())
    influence = td["agents", "influence"]
    individual = td["agents", "individual_advantage"]
    td["agents", "state_value"] = td["agents", "state_value"] + 1
    estimator(td, redraw=False)
    assert torch.equal(td["agents", "influence"], influence)
    assert not torch.equal(td["agents", "individual_advantage"], individual)


class Sampled(InfluenceSource):
    """A source of one's own, which draws at every call and learns nothing from weights."""

    def influence(self, td, key, like):
        return torch.rand(*like.shape[:-1], like.shape[-2])


def test_a_draw_of_a_source_of_ones_own_can_be_kept():
    estimator = ILVFAdvantage(gae(), influence=Sampled())
    td = estimator(valued_rollout())
    influence = td["agents", "influence"].clone()
    assert torch.equal(estimator(td, redraw=False)["agents", "influence"], influence)
    assert not torch.equal(estimator(td)["agents", "influence"], influence)


def test_mix_draws_anew_from_a_flat_batch():
    """A new draw for an epoch, without estimating the individual advantages again."""
    estimator = ILVFAdvantage(gae(), discretise=Bernoulli())
    flat = estimator(valued_rollout()).reshape(-1)
    influence = flat["agents", "influence"].clone()
    advantage = flat["agents", "advantage"].clone()
    estimator.mix(flat)
    assert not torch.equal(flat["agents", "influence"], influence)
    assert not torch.allclose(flat["agents", "advantage"], advantage)
    individual = flat["agents", "individual_advantage"]
    expected = standardise(local_advantage(flat["agents", "influence"], individual))
    assert torch.allclose(flat["agents", "advantage"], expected)


def test_a_generator_of_its_own_leaves_the_global_one_alone():
    td = valued_rollout()
    draws = []
    for seed in (3, 3, 4):
        generator = torch.Generator().manual_seed(seed)
        estimator = ILVFAdvantage(gae(), discretise=Bernoulli(), generator=generator)
        before = torch.get_rng_state()
        draws.append(estimator(td.copy())["agents", "influence"])
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


# ---------------------------------------------------------------------- compile, vmap
def compiled_credit(discretise):
    """The plain and the compiled function (w, A) → standardised local advantage."""

    def credit(weight, individual):
        influence = force_diagonal(discretise(weight, None))
        return standardise(local_advantage(influence, individual))

    return credit, torch.compile(credit, fullgraph=True, backend="aot_eager")


@pytest.mark.slow  # the first compilation of a process takes seconds
@pytest.mark.parametrize("discretise", [Threshold(), Soft()], ids=["threshold", "soft"])
def test_credit_compiles_without_graph_breaks(discretise):
    credit, compiled = compiled_credit(discretise)
    weight = torch.rand(B, N, N)
    individual = torch.randn(B, N, 1)
    found = compiled(weight, individual)
    assert torch.allclose(found, credit(weight, individual), atol=1e-6)


@pytest.mark.slow
def test_credit_with_draws_compiles_without_graph_breaks():
    """A compiled graph draws its random numbers in an order of its own; weights 0, 1 fix them."""
    credit, compiled = compiled_credit(Bernoulli())
    weight = (torch.rand(B, N, N) < 0.5).float()
    individual = torch.randn(B, N, 1)
    found = compiled(weight, individual)
    assert torch.allclose(found, credit(weight, individual), atol=1e-6)


def test_bernoulli_under_vmap():
    """Every row has noise of its own; the share of ones is the weight."""
    weight = torch.full((4000, N, N), 0.3)
    draw = torch.vmap(lambda w: Bernoulli(noise=False)(w), randomness="different")(weight)
    assert draw.mean() == pytest.approx(0.3, abs=0.02)
    assert draw.flatten(1).std(0).min() > 0


def test_gumbel_noise_under_vmap():
    draw = torch.vmap(lambda h: gumbel_sigmoid(h, 1.0), randomness="different")
    noisy = draw(torch.zeros(50, N, N))
    assert noisy.flatten(1).std(0).min() > 0


def test_the_critic_under_vmap():
    critic = InfluenceCritic(N, D, A, hidden=8)
    predict = torch.vmap(lambda s, a: critic.predict(s, a)[1], randomness="different")
    q = predict(torch.randn(5, B, N, D), torch.randint(A, (5, B, N)))
    assert q.shape == (5, B, N, 1)
