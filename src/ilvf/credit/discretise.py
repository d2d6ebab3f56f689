"""From influence weights in [0, 1] to the influence Ŵ (paper, Sec. 4.3.2 and App. D)."""

from collections.abc import Callable

import torch
from torch import Tensor

from ilvf.modules.attention import noisy_sigmoid
from ilvf.modules.checks import require_floats
from ilvf.options.arguments import require_flags, require_number

Discretise = Callable[[Tensor, torch.Generator | None], Tensor]


def noisy(weight: Tensor, tau: float, generator: torch.Generator | None = None) -> Tensor:
    """w^g = sigmoid((h + g)/τ) from w = sigmoid(h/τ), with fresh Gumbel noise g (eq. 8)."""
    return noisy_sigmoid(tau * torch.logit(weight), tau, generator)


class Threshold:
    """Ŵ = 1[w ≥ c].

    Args:
        c: the threshold, 0 < c ≤ 1.
        noise: apply the threshold to w^g instead of w, as the paper's text says.
        tau: temperature τ of the noise.
    """

    def __init__(self, c: float = 0.5, *, noise: bool = False, tau: float = 1.0):
        require_number("Threshold", "c", c, above=0, most=1)
        require_flags("Threshold", noise=noise)
        require_number("Threshold", "tau", tau, above=0)
        self.c = c
        self.noise = noise
        self.tau = tau

    def __call__(self, weight: Tensor, generator: torch.Generator | None = None) -> Tensor:
        require_floats("the weight", weight)
        if self.noise:
            weight = noisy(weight, self.tau, generator)
        return (weight >= self.c).to(weight.dtype)


class Bernoulli:
    """Ŵ ~ Bernoulli(w^g), the paper's sampling.

    Args:
        noise: False samples from w instead of w^g.
        tau: temperature τ of the noise.
    """

    def __init__(self, *, noise: bool = True, tau: float = 1.0):
        require_flags("Bernoulli", noise=noise)
        require_number("Bernoulli", "tau", tau, above=0)
        self.noise = noise
        self.tau = tau

    def __call__(self, weight: Tensor, generator: torch.Generator | None = None) -> Tensor:
        require_floats("the weight", weight)
        if self.noise:
            weight = noisy(weight, self.tau, generator)
        dtype = torch.promote_types(weight.dtype, torch.float32)  # in 16 bits u = 0 is frequent
        u = torch.rand(weight.shape, generator=generator, dtype=dtype, device=weight.device)
        return (u < weight).to(weight.dtype)


class Soft:
    """Ŵ = w: the weights themselves, without discretisation."""

    def __call__(self, weight: Tensor, generator: torch.Generator | None = None) -> Tensor:
        require_floats("the weight", weight)
        return weight
