"""Normalization of values: critics and mixers output numbers of order one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import torch
from tensordict.nn import TensorDictModule, TensorDictModuleBase, TensorDictSequential
from tensordict.utils import NestedKey
from torch import Tensor, nn

from ilvf.distributed import mean_over_ranks
from ilvf.errors import require
from ilvf.modules.checks import require_tensor
from ilvf.options.arguments import require_kind, require_number, require_sizes

LEAST = 1e-30  # second moment of rewards that are all 0; exactly 0 means that none has been seen


class ValueNorm(nn.Module):
    """Running mean and variance of value targets, per agent, as in the official MAPPO code.

        m ← β m + (1 − β) mean(x),   likewise for x²;   mean = m / (1 − β^k) after k updates

    The division removes the bias towards the initial 0. Critics output normalized values, and
    `denormalize` maps them to the reward's scale before GAE. The on-policy algorithms update the
    moments once per rollout, averaged over all processes; in a training loop of your own, call
    `update` with the value targets before the loss. They stay float64 whatever the networks' type,
    or float32 on a device that has no float64 (MPS).

    They are parameters without a gradient, not buffers: a functional loss of TorchRL that is moved
    to a device keeps sharing its parameters with their module, but not its buffers.

    Args:
        shape: shape of the statistics, `(N, 1)` for one per agent.
        beta: decay β.
        min_variance: lower bound of the variance. The official MAPPO code has 1e-2. With that
            bound, the normalized targets of agents with small rewards are far below one, and their
            critics hardly learn.

    Raises:
        UsageError: a size, beta or min_variance is out of bounds.
    """

    first: Tensor  # biased running mean of x
    second: Tensor  # biased running mean of x²
    weight: Tensor  # 1 − β^k

    def __init__(self, shape: tuple[int, ...], beta: float = 0.98, min_variance: float = 1e-6):
        super().__init__()
        require_kind("ValueNorm", "shape", shape, tuple | list, "a tuple of sizes, such as (N, 1)")
        for size in shape:
            require_sizes("ValueNorm", shape=size)
        require_number("ValueNorm", "beta", beta, least=0, below=1)
        require_number("ValueNorm", "min_variance", min_variance, above=0)
        self.beta = beta
        self.min_variance = min_variance
        self.updated = False  # has it seen values? The host knows without reading the device
        sizes = {"first": tuple(shape), "second": tuple(shape), "weight": ()}
        for name, size_of in sizes.items():
            zeros = torch.zeros(size_of, dtype=torch.float64)
            setattr(self, name, nn.Parameter(zeros, requires_grad=False))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Called by `to`, `cuda` and so on, with what they do to every tensor."""

        def on_any_device(x: Tensor) -> Tensor:
            try:
                moved = fn(x)
            except TypeError:  # the device has no float64
                return fn(x.float())
            return moved if moved.dtype == x.dtype else x.to(moved.device)

        return super()._apply(on_any_device, recurse)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *rest)
        self.updated = bool(self.weight > 0)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, `shape` each."""
        weight = self.weight.clamp_min(1e-5)
        mean = self.first / weight
        variance = (self.second / weight - mean.square()).clamp_min(self.min_variance)
        return mean.float(), variance.sqrt().float()

    def update(self, x: Tensor, mask: Tensor | None = None) -> None:
        """Include a batch in the moments.

        Args:
            x: `[*B, *shape]`.
            mask: bool, of the shape of x; entries of dead agents are False and do not count.
        """
        self._require_shape(x, exactly=True)
        self.updated = True
        if mask is not None:
            require_tensor("the mask", mask)
            found = tuple(mask.shape)
            same = mask.numel() == x.numel() and mask.dtype == torch.bool
            require(same, f"the mask has shape {found}; need bool {tuple(x.shape)}, True = counts")
        x = x.detach().to(self.first.dtype).reshape(-1, *self.first.shape)
        if mask is None:
            first, second = mean_over_ranks(torch.stack([x.mean(0), x.square().mean(0)]))
        else:
            first, second = self._masked_moments(x, mask.reshape(x.shape))
        self.first.lerp_(first, 1 - self.beta)
        self.second.lerp_(second, 1 - self.beta)
        self.weight.lerp_(torch.ones_like(self.weight), 1 - self.beta)

    def _require_shape(self, x: Tensor, *, exactly: bool = False) -> None:
        """Raise unless x ends with the shape of the statistics, or fits to it by broadcasting."""
        require_tensor("the value", x)
        shape = tuple(self.first.shape)
        found = tuple(x.shape)
        ends = found[max(len(found) - len(shape), 0) :]
        pairs = zip(ends, shape, strict=False)
        fits = len(ends) == len(shape) and (not exactly or ends == shape)
        require(
            fits and all(size == own or 1 in (size, own) for size, own in pairs),
            f"ValueNorm was built for values [..., {', '.join(map(str, shape))}], found {found}",
        )

    def _masked_moments(self, x: Tensor, alive: Tensor) -> Tensor:
        """Means of x and x² over the alive entries, stacked: `[2, *shape]`.

        An agent that is dead in the whole batch keeps its moments. The first time an agent is
        alive, its moments start from this batch instead of from 0.
        """
        x = x.masked_fill(~alive, 0)
        sums = torch.stack([x.mean(0), x.square().mean(0), alive.to(x.dtype).mean(0)])
        first, second, share = mean_over_ranks(sums)
        batch = torch.stack([first, second]) / share.clamp_min(1e-12)
        batch[1].clamp_min_(LEAST)
        is_new = (self.weight > 0) & (share > 0) & (self.second == 0)
        self.first.copy_(torch.where(is_new, batch[0] * self.weight, self.first))
        self.second.copy_(torch.where(is_new, batch[1] * self.weight, self.second))
        previous = torch.stack([self.first, self.second]) / self.weight.clamp_min(1e-5)
        return torch.where(share > 0, batch, previous)

    def normalize(self, x: Tensor) -> Tensor:
        """(x − mean) / std.

        Raises:
            UsageError: it has not seen a value.
        """
        self._require_shape(x)
        require(
            self.updated,
            "a ValueNorm has not seen a value, so that it cannot normalize; call its update first, "
            "such as value_norm.update(value_target) once per rollout, before the loss",
        )
        mean, std = self.moments()
        return (x - mean) / std

    def denormalize(self, x: Tensor) -> Tensor:
        """mean + std · x."""
        self._require_shape(x)
        mean, std = self.moments()
        return x * std + mean


class Denormalize(nn.Module):
    """`ValueNorm.denormalize` as a module, which holds the statistics; without them, a copy.

    Args:
        norm: of the agents of all groups, or None.
    """

    def __init__(self, norm: ValueNorm | None):
        super().__init__()
        self.norm = norm

    def forward(self, *values: Tensor) -> Any:
        """Normalised values `[*B, n, 1]` of every group → values in reward units."""
        sizes = [value.shape[-2] for value in values]
        joined = values[0] if len(values) == 1 else torch.cat(values, -2)
        scaled = joined.clone() if self.norm is None else self.norm.denormalize(joined)
        return scaled if len(values) == 1 else scaled.split(sizes, -2)


def denormalised(
    module: TensorDictModuleBase,
    norm: ValueNorm | None,
    raw: Sequence[NestedKey],
    values: Sequence[NestedKey],
) -> TensorDictModuleBase:
    """`module`, which writes normalised values, followed by the values in reward units.

    Args:
        norm: None copies the values.
        raw, values: keys of the normalised and of the other values, of every group.
    """
    require_kind("value_module", "norm", norm, ValueNorm | None, "a ValueNorm")
    scale = TensorDictModule(Denormalize(norm), in_keys=list(raw), out_keys=list(values))
    return TensorDictSequential(module, scale)


class ReturnNorm(nn.Module):
    """Affine map from a network's output q to a return Q, by the moments of the rewards.

        Q = h m + √h s q,    h = 1 / (1 − γ),    m, s: mean and standard deviation of the rewards

    q = 0 is the return of the mean reward for ever. q is of order one whatever the scale of the
    rewards, since √h s is about the standard deviation of a return with independent rewards. The
    moments are those of the rewards and not of the targets: targets bootstrap, so their moments
    would depend on the values that they normalize. The map is applied to Q and not to the rewards,
    so the optimal policy does not change.

    Args:
        shape: shape of the statistics, `(N, 1)` for one per agent, `(1,)` for the team.
        gamma: discount γ; h is at most 100.
        beta: decay of the moments per update.
    """

    def __init__(self, shape: tuple[int, ...], gamma: float, beta: float = 0.999):
        super().__init__()
        self.rewards = ValueNorm(shape, beta=beta)
        self.horizon = 1 / max(1 - gamma, 0.01)

    def update(self, reward: Tensor, mask: Tensor | None = None) -> None:
        """Include the rewards `[B, *shape]` in the moments; see `ValueNorm.update`."""
        self.rewards.update(reward, mask)

    def normalize(self, value: Tensor) -> Tensor:
        """Q → q."""
        mean, std = self.rewards.moments()
        return (value - self.horizon * mean) / (self.horizon**0.5 * std)

    def denormalize(self, value: Tensor) -> Tensor:
        """q → Q."""
        mean, std = self.rewards.moments()
        return self.horizon * mean + self.horizon**0.5 * std * value
