"""`TDLoss`: what the off-policy losses share."""

import torch
from tensordict.utils import NestedKey
from torch import Tensor, nn
from torchrl.objectives.common import LossModule

from ilvf.losses.options import TDOptions
from ilvf.losses.ppo import huber, living_mean
from ilvf.modules.value_norm import ReturnNorm


class TDLoss(LossModule):
    """Base of losses that regress  y = r + γ (1 − terminated) Q̄(s').

    Q̄ is a target network. A truncated episode bootstraps, a terminated one does not. With
    `normalize_values` the networks output normalized values (see `ReturnNorm`), so that the loss
    does not depend on the scale of the rewards.
    """

    norm: ReturnNorm | None

    def set_td_options(self, options: TDOptions, shape: tuple[int, ...]) -> None:
        """Keep the options and make the normalization.

        Args:
            options: see `TDOptions`.
            shape: shape of the statistics of the rewards, `(N, 1)` per agent, `(1,)` for the team.
        """
        self.gamma = options.gamma
        self.huber_delta = options.huber_delta
        self.norm = ReturnNorm(shape, options.gamma) if options.normalize_values else None

    @property
    def functional(self) -> bool:
        """False: the loss uses its modules and has no separate parameters (see TorchRL)."""
        return False

    @property
    def target_pairs(self) -> tuple[tuple[nn.Module, nn.Module], ...]:
        """Pairs (target network, learned network)."""
        raise NotImplementedError

    @property
    def batch_keys(self) -> list[NestedKey]:
        """The keys that a transition must have."""
        raise NotImplementedError

    @property
    def optional_keys(self) -> list[NestedKey]:
        """More keys that the loss reads where a transition has them."""
        return []

    def bootstrapped(self, reward: Tensor, terminated: Tensor, future: Tensor) -> Tensor:
        """y = r + γ (1 − terminated) · future, of tensors whose shapes broadcast."""
        goes_on = (~terminated).to(future.dtype)
        return reward + self.gamma * goes_on * future

    def to_return(self, value: Tensor) -> Tensor:
        """A network's output in reward units."""
        return value if self.norm is None else self.norm.denormalize(value)

    def error_and_loss(self, value: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Temporal-difference error, and its squared error or Huber loss, elementwise.

        Args:
            value: a network's output.
            target: y in reward units.
        """
        if self.norm is not None:
            target = self.norm.normalize(target)
        error = value - target
        if self.huber_delta is None:
            return error, error.square()
        return error, huber(error, self.huber_delta)


def next_key(key: NestedKey) -> NestedKey:
    """The key of the same entry one step later: `("next", *key)`."""
    return ("next", *(key if isinstance(key, tuple) else (key,)))


def mean_diagnostics(living: Tensor | None = None, **values: Tensor) -> dict[str, Tensor]:
    """The detached means of metrics.

    Args:
        living: bool `[*B, N, 1]`, the agents that count; None if all do.
        **values: name → metric, `[*B, N]` with `living`, and any shape without.
    """
    with torch.no_grad():
        return {name: living_mean(value, living) for name, value in values.items()}
