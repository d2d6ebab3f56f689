"""Terms of the loss that act on the attention alone: few influences, and measured influences."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

EVIDENCE_HINT = "ILVFAdvantage writes it if its influence is a SupervisedInfluence"


def mean_attention(weight: Tensor) -> Tensor:
    """w̄ `[*B, N]`: the mean weight of a critic's attention to the other agents.

        w̄_i = mean_{j≠i} w_ij

    Args:
        weight: w `[*B, N, N]`, row = critic.
    """
    return without_diagonal(weight).sum(-1) / number_of_others(weight)


def supervision(
    logits: Tensor, tau: float, evidence: Tensor, living: Tensor | None = None
) -> Tensor:
    """Cross-entropy between the attention and the evidence for each link, `[*B, N]`.

        H_i = mean_{j≠i} −p_ji log w_ij − (1 − p_ji) log(1 − w_ij),   w_ij = sigmoid(h_ij / τ)

    The links of a dead agent count nothing.

    Args:
        logits: h `[*B, N, N]`, row = critic.
        tau: τ.
        evidence: p `[*B, N, N]` in [0, 1], row = acting agent.
        living: bool `[*B, N, 1]`, or None if all agents live.
    """
    target = evidence.transpose(-1, -2).to(logits.dtype)
    error = binary_cross_entropy_with_logits(logits / tau, target, reduction="none")
    if living is not None:
        both = living & living.transpose(-1, -2)
        error = error.masked_fill(~both, 0)
    return without_diagonal(error).sum(-1) / number_of_others(logits)


def without_diagonal(pairs: Tensor) -> Tensor:
    """`[*B, N, N]` with zeros on the diagonal."""
    return pairs - torch.diag_embed(pairs.diagonal(dim1=-2, dim2=-1))


def number_of_others(pairs: Tensor) -> int:
    """N − 1 of `[*B, N, N]`; 1 for a single agent."""
    return max(pairs.shape[-1] - 1, 1)
