"""Running mean and variance of the value targets, per agent, so that critics regress numbers of order one."""

import torch
from torch import Tensor, nn

from ilvf.distributed import mean_over_ranks
from ilvf.errors import require


class ValueNorm(nn.Module):
    """Exponential moving moments with debiasing, as in the official MAPPO code.

        m ← β m + (1 − β) mean(x),   likewise for x²;   mean = m / (1 − β^k) after k updates

    Critics output normalised values; `denormalise` brings them to the reward's scale before GAE. Updated once per
    rollout; the moments are averaged over all processes.

    Args:
        shape: of the statistics, `(N, 1)` for one per agent.
        beta: memory β.
        min_variance: floor of the variance. The official MAPPO code has 1e-2, which leaves agents with small rewards
            with targets far below one, and their critics with nothing to learn from.
    """

    def __init__(self, shape: tuple[int, ...], beta: float = 0.98, min_variance: float = 1e-6):
        super().__init__()
        require(min_variance > 0, f"min_variance={min_variance} must be positive")
        self.beta, self.min_variance = beta, min_variance
        for name, size in (("first", shape), ("second", shape), ("weight", ())):
            self.register_buffer(name, torch.zeros(size, dtype=torch.float64))

    first: Tensor
    second: Tensor
    weight: Tensor

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, `shape` each."""
        weight = self.weight.clamp_min(1e-5)
        mean = self.first / weight
        variance = (self.second / weight - mean.square()).clamp_min(self.min_variance)
        return mean.float(), variance.sqrt().float()

    def update(self, x: Tensor, mask: Tensor | None = None) -> None:
        """x `[*B, *shape]`; where a bool mask of that shape is False, an agent is dead and does not count."""
        x = x.detach().double().reshape(-1, *self.first.shape)
        if mask is None:
            batch = mean_over_ranks(torch.stack([x.mean(0), x.square().mean(0)]))
        else:
            lives = mask.reshape(x.shape)
            x = x.masked_fill(~lives, 0)
            *sums, share = mean_over_ranks(
                torch.stack([x.mean(0), x.square().mean(0), lives.double().mean(0)])
            )
            known = torch.stack([self.first, self.second]) / self.weight.clamp_min(
                1e-5
            )  # of whom nothing was seen
            seen = torch.stack(sums) / share.clamp_min(1e-12)
            batch = torch.where(share > 0, seen, known)
            if self.weight > 0:  # who is seen for the first time brings no zeros from before
                new = (share > 0) & (self.second == 0)
                self.first.copy_(torch.where(new, seen[0] * self.weight, self.first))
                self.second.copy_(torch.where(new, seen[1] * self.weight, self.second))
        self.first.lerp_(batch[0], 1 - self.beta)
        self.second.lerp_(batch[1], 1 - self.beta)
        self.weight.lerp_(torch.ones_like(self.weight), 1 - self.beta)

    def normalise(self, x: Tensor) -> Tensor:
        mean, std = self.moments()
        return (x - mean) / std

    def denormalise(self, x: Tensor) -> Tensor:
        mean, std = self.moments()
        return x * std + mean
