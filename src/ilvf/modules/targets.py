"""What temporal differences need: target networks, which follow what is learned, and the scale of returns."""

import copy
from typing import TypeVar

import torch
from tensordict.utils import NestedKey
from torch import Tensor, nn

from ilvf.modules.value_norm import ValueNorm

M = TypeVar("M", bound=nn.Module)


def frozen_copy(module: M) -> M:
    """A copy that is not learned."""
    return copy.deepcopy(module).requires_grad_(False)


@torch.no_grad()
def follow(target: nn.Module, source: nn.Module, tau: float) -> None:
    """θ̄ ← (1 − τ) θ̄ + τ θ for all parameters; τ = 1 copies."""
    targets: list[Tensor] = list(target.parameters())
    sources: list[Tensor] = list(source.parameters())
    if not targets:
        return
    if tau == 1:
        torch._foreach_copy_(targets, sources)
    else:
        torch._foreach_lerp_(targets, sources, tau)


def after(key: NestedKey) -> NestedKey:
    """The key of the same entry one step later."""
    return ("next", *(key if isinstance(key, tuple) else (key,)))


class ReturnNorm(nn.Module):
    """What a network's output q means as a return:  Q = h m + √h s q,  h = 1 / (1 − γ),  m, s: moments of the rewards.

    So q = 0 is the mean reward for ever, and q is of order one whatever the scale of the rewards (√h s: the spread of
    returns whose rewards are independent). The moments are of rewards and not of targets, which bootstrap and would
    feed on themselves. It is an affine map of Q and not of the rewards: what is optimal stays.

    Args:
        shape: of the statistics, `(N, 1)` for one per agent, `(1,)` for the team.
        gamma: γ; h is at most 100.
        beta: memory of the moments, per update.
    """

    def __init__(self, shape: tuple[int, ...], gamma: float, beta: float = 0.999):
        super().__init__()
        self.rewards, self.horizon = ValueNorm(shape, beta=beta), 1 / max(1 - gamma, 0.01)

    def update(self, reward: Tensor) -> None:
        """reward `[B, *shape]`."""
        self.rewards.update(reward)

    def normalise(self, value: Tensor) -> Tensor:
        """Q → q."""
        mean, std = self.rewards.moments()
        return (value - self.horizon * mean) / (self.horizon**0.5 * std)

    def denormalise(self, value: Tensor) -> Tensor:
        """q → Q."""
        mean, std = self.rewards.moments()
        return self.horizon * mean + self.horizon**0.5 * std * value
