"""`TDLoss`: what the off-policy losses share."""

from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor, nn

from ilvf.errors import UsageError
from ilvf.losses.base import Loss
from ilvf.losses.options import TDOptions
from ilvf.losses.ppo import huber, living_mean
from ilvf.modules.actors.network import input_keys
from ilvf.modules.checks import need, require_tensordict
from ilvf.modules.memory import ENDED, states_along
from ilvf.modules.targets import follow
from ilvf.modules.value_norm import ReturnNorm
from ilvf.options.arguments import require_number

TARGET_HIDDEN = "target_hidden"  # key of the hidden states of the target actor, of the next step


class TDLoss(Loss):
    """Base of losses that regress  y = r + γ (1 − terminated) Q̄(s').

    Q̄ is a target network. A truncated episode bootstraps, a terminated one does not. With
    `normalize_values` the networks output normalized values (see `ReturnNorm`), so that the loss
    does not depend on the scale of the rewards, as long as their standard deviation is above 10⁻³.
    The statistics are renewed in training mode alone. `update_targets` moves the target networks;
    call it after each step of the optimiser.

    With a recurrent actor the batch is sequences `[C, b + L]`, in the order of time, with
    `("next", "done")` and the hidden states of their collection, of which the first are read. The
    first `burn_in` steps b warm up the hidden states of the actor and of its target, each by its
    own parameters; the other steps are the transitions of the loss. The next observation is valued
    with the hidden state after the step, also where a truncation ends the episode.

    Attributes:
        actor, target_actor: what acts, and its target, each with a memory or without.
    """

    norm: ReturnNorm | None
    actor: Any
    target_actor: Any

    def set_td_options(self, options: TDOptions, shape: tuple[int, ...]) -> None:
        """Keep the options and make the normalization.

        Args:
            options: see `TDOptions`.
            shape: shape of the statistics of the rewards, `(N, 1)` per agent, `(1,)` for the team.
        """
        self.gamma = options.gamma
        self.huber_delta = options.huber_delta
        self.burn_in = options.burn_in
        self.norm = ReturnNorm(shape, options.gamma) if options.normalize_values else None

    @property
    def target_pairs(self) -> tuple[tuple[nn.Module, nn.Module], ...]:
        """Pairs (target network, learned network)."""
        raise NotImplementedError

    def update_targets(self, tau: float) -> None:
        """Move every target network towards its source:  θ̄ ← (1 − τ) θ̄ + τ θ.

        Args:
            tau: τ in (0, 1]; 1 copies.
        """
        require_number(type(self).__name__, "tau", tau, above=0, most=1)
        for target, source in self.target_pairs:
            follow(target, source, tau)

    def make_value_estimator(self, *arguments: Any, **options: Any) -> None:
        """Refused: the loss computes its own targets."""
        raise UsageError(f"{type(self).__name__} computes its own targets; it takes no estimator")

    @property
    def batch_keys(self) -> list[NestedKey]:
        """The keys that a transition, or a step of a sequence, must have."""
        raise NotImplementedError

    @property
    def in_keys(self) -> list[NestedKey]:
        """What a call reads: the `batch_keys`."""
        return self.batch_keys

    @property
    def optional_keys(self) -> list[NestedKey]:
        """More keys that the loss reads where a transition has them."""
        return []

    def keys_with(self, *more: NestedKey) -> list[NestedKey]:
        """`batch_keys` of a loss that reads what the actor sees, and `more`, now and next."""
        now = [*input_keys(self.actor.group, self.actor.masked), *more]
        keys = [*now, *map(next_key, now), self.actor.out_keys[0]]
        keys += [next_key(self.tensor_keys.reward), next_key(self.tensor_keys.terminated)]
        if self.actor.memory is not None:
            keys += [self.actor.memory.key, ENDED]
        return list(dict.fromkeys(keys))

    def transitions(self, tensordict: TensorDictBase) -> TensorDictBase:
        """The transitions of a batch, `[B]`; without a memory the batch itself, flattened.

        Those of sequences have hidden states that follow from the present parameters: those of the
        actor before and after the step, and of the target actor after it.
        """
        require_tensordict(tensordict)
        memory = self.actor.memory
        if memory is None:
            return tensordict if tensordict.ndim == 1 else tensordict.reshape(-1)
        before, after = states_along(self.actor, tensordict, self.burn_in)
        with torch.no_grad():
            _, of_target = states_along(self.target_actor, tensordict, self.burn_in)
        steps = tensordict[..., self.burn_in :]
        steps.set(memory.key, before)
        steps.set(next_key(memory.key), after)
        steps.set(next_key(TARGET_HIDDEN), of_target)
        return steps.reshape(-1)

    def seen_by_target(self, later: TensorDictBase) -> TensorDictBase:
        """The next step of transitions, with the hidden states of the target actor, if any."""
        memory = self.target_actor.memory
        if memory is None:
            return later
        of_target = need(later, TARGET_HIDDEN, "They are made of sequences, by `transitions`")
        return later.clone(recurse=False).set(memory.key, of_target)

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
