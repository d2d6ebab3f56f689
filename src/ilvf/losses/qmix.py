"""`QMIXLoss`: temporal differences of the team's value, mixed from the agents' values."""

from dataclasses import dataclass

import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor, nn
from torchrl.objectives.common import LossModule

from ilvf.errors import require
from ilvf.losses.functional import huber
from ilvf.modules.actors.greedy import GreedyActor
from ilvf.modules.mixer import Mixer
from ilvf.modules.targets import ReturnNorm, after, frozen_copy


class QMIXLoss(LossModule):
    """QMIX (Rashid et al., 2018), and VDN (Sunehag et al., 2018) with a mixer that sums.

        L = mean_B ℓ(Q_tot(s, q) − y),           q_i = Q_i(o_i, a_i)
        y = Σ_i r_i + γ (1 − terminated) Q̄_tot(s', q̄'),   q̄'_i = Q̄_i(o'_i, argmax_a Q_i(o'_i, a))

    The bar marks target networks. A truncated episode bootstraps, a terminated one does not. Q_tot is put out
    normalised (see `ReturnNorm`), so that nothing depends on the scale of the rewards. Without `double` the argmax is
    that of Q̄ itself. Impossible actions are never the argmax. Agents that have died go on being mixed, with the value
    of whatever their observation is then.

    Args:
        actor, mixer: own their parameters here; their targets are frozen copies.
        gamma: γ.
        normalise: Q_tot by the moments of the team's rewards; False regresses y as it is.
        double: choose the next action by what is learned, value it by the target (van Hasselt et al., 2016).
        huber_delta: δ of ℓ = Huber; None is the squared error, ℓ(e) = e².

    Output: `loss_td`, and the diagnostics `target` (mean y, in reward units) and `error` (mean |Q_tot − y|,
    normalised), detached.
    """

    @dataclass
    class _AcceptedKeys:
        state: NestedKey = ("agents", "state")
        reward: NestedKey = ("agents", "reward")
        terminated: NestedKey = "terminated"

    default_keys = _AcceptedKeys
    actor: GreedyActor
    mixer: Mixer
    target_actor: GreedyActor
    target_mixer: Mixer
    norm: ReturnNorm | None

    def __init__(
        self,
        actor: GreedyActor,
        mixer: Mixer,
        *,
        gamma: float = 0.99,
        normalise: bool = True,
        double: bool = True,
        huber_delta: float | None = None,
    ):
        super().__init__()
        require(0 <= gamma <= 1, f"gamma={gamma} must be in [0, 1]")
        require(
            huber_delta is None or huber_delta > 0,
            f"huber_delta={huber_delta} must be positive, or null for squares",
        )
        self.actor, self.mixer = actor, mixer
        self.target_actor, self.target_mixer = frozen_copy(actor), frozen_copy(mixer)
        self.gamma, self.double, self.huber_delta = gamma, double, huber_delta
        self.norm = ReturnNorm((1,), gamma) if normalise else None
        self.in_keys = self.batch_keys

    @property
    def functional(self) -> bool:
        return False

    @property
    def target_pairs(self) -> tuple[tuple[nn.Module, nn.Module], ...]:
        """(target, what it follows)."""
        return (self.target_actor, self.actor), (self.target_mixer, self.mixer)

    @property
    def batch_keys(self) -> list[NestedKey]:
        """What a transition must hold."""
        keys, now = self.tensor_keys, list(self.actor.in_keys)
        now += [keys.state] if self.mixer.needs_state else []
        return [
            *now,
            *map(after, now),
            *self.actor.out_keys,
            after(keys.reward),
            after(keys.terminated),
        ]

    @property
    def optional_keys(self) -> list[NestedKey]:
        """What a transition may hold besides: nothing."""
        return []

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        observation = tensordict.get(self.actor.in_keys[0])
        value = self._mixed(
            self.mixer,
            tensordict,
            self.actor.values(observation),
            tensordict.get(self.actor.out_keys[0]),
        )
        if self.norm is not None:
            self.norm.update(tensordict.get(after(self.tensor_keys.reward)).sum(-2))
        target = self.target(tensordict)
        error = value - (target if self.norm is None else self.norm.normalise(target))
        loss = error.square() if self.huber_delta is None else huber(error, self.huber_delta)
        diagnostics = {"target": target.mean(), "error": error.abs().mean()}
        return TensorDict(
            {"loss_td": loss.mean(), **{k: v.detach() for k, v in diagnostics.items()}}
        )

    @torch.no_grad()
    def target(self, tensordict: TensorDictBase) -> Tensor:
        """y `[B, 1]`."""
        later, keys = tensordict.get("next"), self.tensor_keys
        observation, *mask = (later.get(k) for k in self.actor.in_keys)
        values = self.target_actor.values(observation)
        chooser = self.actor.values(observation) if self.double else values
        if mask:  # only the choice is masked: where nothing is possible any more, the value must still be finite
            chooser = chooser.masked_fill(~mask[0], torch.finfo(chooser.dtype).min)
        future = self._mixed(self.target_mixer, later, values, chooser.argmax(-1))
        on = (~later.get(keys.terminated)).to(future.dtype)
        future = future if self.norm is None else self.norm.denormalise(future)
        return later.get(keys.reward).sum(-2) + self.gamma * on * future

    def _mixed(self, mixer: Mixer, td: TensorDictBase, values: Tensor, action: Tensor) -> Tensor:
        """Q_tot `[B, 1]` of actions `[B, N]` with values `[B, N, A]`."""
        state = td.get(self.tensor_keys.state) if mixer.needs_state else None
        return mixer(values.gather(-1, action.unsqueeze(-1)), state)
