"""From influence weights in [0, 1] to the influence Ŵ that is used (paper, Sec. 4.3.2 and App. D)."""

import torch
from torch import Tensor

from ilvf.errors import require
from ilvf.modules.attention import gumbel_sigmoid


def noisy(weight: Tensor, tau: float, generator: torch.Generator | None = None) -> Tensor:
    """w^g = sigmoid((h + g)/τ) from w = sigmoid(h/τ), with fresh Gumbel noise."""
    return gumbel_sigmoid(tau * torch.logit(weight), tau, generator)


class Threshold:
    """Ŵ = 1[w ≥ c].

    Args:
        c: the threshold, 0 < c ≤ 1.
        noise: threshold w^g instead of w, which is the paper's text.
        tau: temperature of that noise.
    """

    def __init__(self, c: float = 0.5, *, noise: bool = False, tau: float = 1.0):
        require(0 < c <= 1, f"threshold={c} must be in (0, 1]")
        self.c, self.noise, self.tau = c, noise, tau

    def __call__(self, weight: Tensor, generator: torch.Generator | None = None) -> Tensor:
        weight = noisy(weight, self.tau, generator) if self.noise else weight
        return (weight >= self.c).to(weight.dtype)


class Bernoulli:
    """Ŵ ~ Bernoulli(w^g), the paper's sampling.

    Args:
        noise: False samples from w instead of w^g.
        tau: temperature of the noise.
    """

    def __init__(self, *, noise: bool = True, tau: float = 1.0):
        self.noise, self.tau = noise, tau

    def __call__(self, weight: Tensor, generator: torch.Generator | None = None) -> Tensor:
        weight = noisy(weight, self.tau, generator) if self.noise else weight
        u = torch.rand(weight.shape, generator=generator, dtype=weight.dtype, device=weight.device)
        return (u < weight).to(weight.dtype)


class Soft:
    """Ŵ = w, no discretisation."""

    def __call__(self, weight: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return weight
