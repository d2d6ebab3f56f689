"""The mathematics that the losses share: tensors in, tensors out.  Axes: `*B` any batch, `N` agents."""

import torch
from torch import Tensor


def clipped_surrogate(
    log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, clip: float
) -> tuple[Tensor, Tensor]:
    """PPO's objective  min(ρ Â, clip(ρ, 1 ± ε) Â)  and ρ = π/π_old, elementwise (Schulman et al., 2017)."""
    ratio = (log_prob - old_log_prob).exp()
    return torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage), ratio


def huber(error: Tensor, delta: float) -> Tensor:
    """½ e² within ±δ, δ (|e| − ½ δ) beyond (δ = 10 in Table 1)."""
    return torch.nn.functional.huber_loss(
        error, torch.zeros_like(error), reduction="none", delta=delta
    )


def clipped_value_loss(
    value: Tensor, old_value: Tensor, target: Tensor, *, clip: float, delta: float
) -> Tensor:
    """max of the Huber losses of V and of V held within ±clip of the value at collection, elementwise."""
    held = old_value + (value - old_value).clamp(-clip, clip)
    return torch.maximum(huber(value - target, delta), huber(held - target, delta))


def team_mean(x: Tensor) -> Tensor:
    """Mean over the batch, SUM over agents, of `[*B, N]`: the weight of an agent does not depend on the team's size."""
    return x.sum(-1).mean()
