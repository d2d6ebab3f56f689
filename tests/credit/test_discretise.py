"""What every discretisation of attention weights must do; a new one is one line here."""

import pytest
import torch

from ilvf.credit import Bernoulli, Soft, Threshold

DISCRETISATIONS = {
    "threshold": Threshold(0.5),
    "noisy threshold": Threshold(0.5, noise=True),
    "bernoulli": Bernoulli(),
    "bernoulli without noise": Bernoulli(noise=False),
    "soft": Soft(),
}


@pytest.mark.parametrize("discretise", DISCRETISATIONS.values(), ids=DISCRETISATIONS)
class TestEveryDiscretisation:
    def test_weights_of_0_and_1_do_not_change(self, discretise):
        weight = torch.eye(4).expand(50, 4, 4)
        assert torch.equal(discretise(weight, None), weight)

    def test_a_larger_weight_means_more_influence(self, discretise):
        rng = torch.Generator().manual_seed(0)
        means = []
        for weight in (0.05, 0.3, 0.45, 0.6, 0.95):
            influence = discretise(torch.full((4000, 1, 1), weight), rng)
            means.append(influence.mean().item())
        assert means == sorted(means)
        assert means[-1] > means[0] + 0.5

    def test_the_same_seed_repeats_the_draw(self, discretise):
        weight = torch.rand(20, 4, 4)
        first = discretise(weight, torch.Generator().manual_seed(3))
        again = discretise(weight, torch.Generator().manual_seed(3))
        assert torch.equal(first, again)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rare_links_stay_rare_in_16_bits(dtype):
    """A uniform number of 16 bits is 0 far too often."""
    weight = torch.full((400_000,), 1e-3, dtype=dtype)
    drawn = Bernoulli(noise=False)(weight)
    assert drawn.dtype == dtype
    assert 0.0006 < drawn.float().mean() < 0.0014
