"""Formulas that losses share: PPO's objective, Huber errors, means over batch and team.

Axes: `*B` rows (environments, steps), `N` agents.
"""

import torch
from torch import Tensor
from torch.nn.functional import huber_loss


def clipped_surrogate(
    log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, clip: float
) -> tuple[Tensor, Tensor]:
    """PPO's objective, elementwise (Schulman et al., 2017).

        min(ρ Â, clip(ρ, 1 ± ε) Â),    ρ = exp(log_prob − old_log_prob)

    Args:
        log_prob, old_log_prob: of the action, under the learned policy and at collection.
        advantage: Â.
        clip: ε.

    Returns:
        The objective, and the ratio ρ.
    """
    ratio = (log_prob - old_log_prob).exp()
    clipped_ratio = ratio.clamp(1 - clip, 1 + clip)
    return torch.minimum(ratio * advantage, clipped_ratio * advantage), ratio


def huber(error: Tensor, delta: float) -> Tensor:
    """Huber loss, elementwise:  ½ e² for |e| ≤ δ,  δ (|e| − ½ δ) beyond.  Table 1: δ = 10."""
    return huber_loss(error, torch.zeros_like(error), reduction="none", delta=delta)


def clipped_value_loss(
    value: Tensor, old_value: Tensor, target: Tensor, *, clip: float, delta: float
) -> Tensor:
    """The larger of the Huber losses of V and of the clipped V, elementwise.

    The clipped V stays within ±clip of the value at collection, `old_value`.
    """
    clipped = old_value + (value - old_value).clamp(-clip, clip)
    return torch.maximum(huber(value - target, delta), huber(clipped - target, delta))


def team_mean(x: Tensor) -> Tensor:
    """Mean over the batch and SUM over agents of `[*B, N]`.

    With the sum, an agent's gradient does not depend on the size of the team.
    """
    return x.sum(-1).mean()


def living_mean(x: Tensor, living: Tensor | None) -> Tensor:
    """Mean over the batch and the living agents of `[*B, N]`; 0 if all agents are dead.

    The sum is masked instead of indexed: the size of `x[living]` would be read from the device.

    Args:
        x: `[*B, N]`.
        living: bool `[*B, N, 1]`, see `ilvf.credit.signals.alive`; None if all agents live.
    """
    if living is None:
        return x.mean()
    lives = living.squeeze(-1)
    return x.masked_fill(~lives, 0).sum() / lives.sum().clamp_min(1)
