"""From evidence to weights: how much of each agent's return helps an agent's gradient.

A link that exists can still be too weak to help: its sampling noise may be larger than its part of
the gradient. Weights of the Wiener (James-Stein) form minimise the mean squared error.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Moments:
    """Of agent i's gradient g_j = E[s_i ⊗ h_i A_j], the parts j of it that each agent's return has.

    Attributes:
        second: ⟨ḡ_j, ḡ_k⟩ `[*, N, N]`, ḡ the mean over units.
        signal: M_jj, an unbiased estimate of ‖g_j‖², `[*, N]`.
        aligned: Σ_k M_jk, an unbiased estimate of ⟨g_j, Σ_k g_k⟩, `[*, N]`.
        noise: C_jj, the variance of ḡ_j, `[*, N]`.
    """

    second: Tensor
    signal: Tensor
    aligned: Tensor
    noise: Tensor

    @classmethod
    def of(cls, parts: Tensor, total: Tensor) -> "Moments":
        """From E units' estimates, divided by the mean of the noise.

            C_jk = Σ_e ⟨g_ej − ḡ_j, g_ek − ḡ_k⟩ / (E (E − 1)),   M_jk = ⟨ḡ_j, ḡ_k⟩ − C_jk

        Args:
            parts: `[E, N, D]`.
            total: their sum over N, `[E, D]`.
        """
        units = parts.shape[0]
        pairs = max(units * (units - 1), 1)
        mean = parts.mean(0)
        second = mean @ mean.mT
        squares = torch.linalg.vector_norm(parts, dim=-1).square().sum(0)
        noise = (squares - units * second.diagonal()).clamp_min(0) / pairs
        with_total = (parts * total.unsqueeze(1)).sum((0, 2))
        covariance = (with_total - units * second.sum(-1)) / pairs
        scale = noise.mean().clamp_min(torch.finfo(noise.dtype).tiny)
        return cls(
            second=second / scale,
            signal=(second.diagonal() - noise) / scale,
            aligned=(second.sum(-1) - covariance) / scale,
            noise=noise / scale,
        )


def wiener_weight(
    signal: Tensor, noise: Tensor, count: Tensor | float, averaging: float = 1.0
) -> Tensor:
    """The weight K ρ / (1 + K ρ) that minimises the mean squared error of a gradient's part.

    The error is that of the mean over the updates of K rollouts: the bias of a weight stays, the
    noise averages out. ρ = max(0, (w M/C + 2) / (w + 2)) is the ratio of signal to noise of one
    rollout, known from w rollouts, with the prior 1 that counts as two rollouts.

    Args:
        signal, noise: sums of M and C over rollouts.
        count: w.
        averaging: K.
    """
    tiny = torch.finfo(noise.dtype).tiny
    ratio = torch.where(noise > 0, signal / noise.clamp_min(tiny), 0)
    rho = ((count * ratio + 2) / (count + 2)).clamp_min(0)
    return averaging * rho / (1 + averaging * rho)


def channel_weights(moments: Moments, links: Tensor, rest: Tensor) -> Tensor:
    """c ≥ 0 of the two channels that align best with the team's gradient.

        maximise (cᵀHᵀM1)² / (cᵀHᵀ(M + C)Hc),   H = [links, rest]

    The squared cosine between the mixed gradient and the team's, in closed form over the supports
    {links}, {rest} and {both}.

    Args:
        moments: of every agent.
        links, rest: `[N, N]`, row = acting agent.

    Returns:
        `[N, 2]` with maximum 1; zeros where no channel helps.
    """
    channels = torch.stack([links, rest], -2)  # [N, 2, N]
    gain = (channels @ moments.aligned.unsqueeze(-1)).squeeze(-1)  # [N, 2]
    cost = channels @ moments.second @ channels.mT  # [N, 2, 2]
    alone = torch.diag_embed(gain.clamp_min(0))  # [N, support, 2]
    both = solve_2x2(cost, gain)
    allowed = (both >= 0).all(-1, keepdim=True)
    supports = torch.cat([alone, (both * allowed).unsqueeze(-2)], -2)
    value = squared_cosine(supports, gain, cost)
    best = value.argmax(-1, keepdim=True)
    chosen = supports.gather(-2, best.unsqueeze(-1).expand(*best.shape, 2)).squeeze(-2)
    return to_row_maximum(chosen)


def solve_2x2(matrix: Tensor, vector: Tensor) -> Tensor:
    """adj(A) b, which has the direction of A⁻¹ b where det A > 0; zeros elsewhere."""
    a, b = matrix[..., 0, 0], matrix[..., 0, 1]
    c, d = matrix[..., 1, 0], matrix[..., 1, 1]
    x, y = vector.unbind(-1)
    solution = torch.stack([d * x - b * y, a * y - c * x], -1)
    return solution * (a * d - b * c > 0).unsqueeze(-1)


def squared_cosine(supports: Tensor, gain: Tensor, cost: Tensor) -> Tensor:
    """(cᵀa)² / (cᵀBc) of each row c of `supports` `[N, K, 2]`; −1 where cᵀBc is 0."""
    along = (supports @ gain.unsqueeze(-1)).squeeze(-1)
    spread = (supports @ cost * supports).sum(-1)
    tiny = torch.finfo(cost.dtype).tiny
    return torch.where(spread > 0, along.square() / spread.clamp_min(tiny), -1)


def to_row_maximum(x: Tensor) -> Tensor:
    """Rows divided by their maximum; rows of zeros stay zeros."""
    largest = x.amax(-1, keepdim=True)
    return torch.where(largest > 0, x / largest.clamp_min(torch.finfo(x.dtype).tiny), 0)
