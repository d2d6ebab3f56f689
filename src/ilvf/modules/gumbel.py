"""Gumbel noise, and what is sampled with it."""

import torch
from torch import Tensor
from torch.nn import functional as F


def gumbel_like(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Gumbel noise of the shape of x:  g = −log(−log u),  u ~ U(0, 1)."""
    u = torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device)
    return u.log_().neg_().log_().neg_()


def gumbel_sigmoid(logits: Tensor, tau: float, generator: torch.Generator | None = None) -> Tensor:
    """Noisy attention weights  w^g = sigmoid((h + g) / τ),  with fresh noise g (paper, eq. 8)."""
    return torch.sigmoid((logits + gumbel_like(logits, generator)) / tau)


def gumbel_argmax(log_probs: Tensor) -> Tensor:
    """Samples of the categorical distribution of `log_probs` `[*B, A]`: indices `[*B]`."""
    return (log_probs + gumbel_like(log_probs)).argmax(-1)


def straight_through(log_probs: Tensor, temperature: float) -> Tensor:
    """One-hot samples of softmax(log_probs) with the gradient of their Gumbel-softmax relaxation.

        z = log_probs + g,   p = softmax(z / temperature)
        sample = one_hot(argmax z) + p − [p],   [·] detached

    Args:
        log_probs: `[*B, A]`.
        temperature: of the relaxation; with a lower one the gradient is less biased and noisier.

    Returns:
        `[*B, A]` (Jang et al., 2017).
    """
    z = log_probs + gumbel_like(log_probs)
    soft = (z / temperature).softmax(-1)
    hard = F.one_hot(z.argmax(-1), z.shape[-1]).to(soft.dtype)
    return hard + (soft - soft.detach())
