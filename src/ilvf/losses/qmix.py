"""`QMIXLoss`: temporal-difference loss of the team's value, mixed from the agents' values."""

from dataclasses import dataclass
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor, nn

from ilvf.credit.signals import keys_of_group, need, of_team, team_reward
from ilvf.losses.options import QMIXOptions
from ilvf.losses.td import TDLoss, mean_diagnostics
from ilvf.modules.actions import entries_of
from ilvf.modules.actors.greedy import GreedyActor
from ilvf.modules.actors.network import mask_outputs
from ilvf.modules.mixer import Mixer
from ilvf.modules.targets import frozen_copy
from ilvf.options import configure
from ilvf.options.arguments import require_kind


class QMIXLoss(TDLoss):
    """QMIX (Rashid et al., 2018); with a mixer that sums, VDN (Sunehag et al., 2018).

        L   = mean_B ℓ(Q_tot(s, q) − y),                     q_i = Q_i(o_i, a_i)
        y   = Σ_i r_i + γ (1 − terminated) Q̄_tot(s', q̄')
        q̄'_i = Q̄_i(o'_i, argmax_a Q_i(o'_i, a))

    The bar marks target networks. The learned network chooses the next action and the target
    network values it (van Hasselt et al., 2016); with `double=False` the target network does both.
    Impossible actions are never chosen. Dead agents stay in the mixture, with the value of their
    current observation. Where a transition has a `mask` `[*B, N]`, what the dead (False) are paid
    does not count. See `TDLoss` for termination and normalization.

    Args:
        actor, mixer: the loss owns their parameters; their targets are frozen copies, see
            `update_targets`. Keys are of the actor's group.
        **options: see `QMIXOptions`.

    Output:
        `loss_td`, and as detached diagnostics `target` (mean y, in reward units) and `error`
        (mean |Q_tot − y|, normalized).
    """

    @dataclass
    class _AcceptedKeys:
        state: NestedKey = ("agents", "state")
        reward: NestedKey = ("agents", "reward")
        terminated: NestedKey = "terminated"
        mask: NestedKey = ("agents", "mask")

    default_keys = _AcceptedKeys
    actor: GreedyActor
    mixer: Mixer
    target_actor: GreedyActor
    target_mixer: Mixer

    def __init__(self, actor: GreedyActor, mixer: Mixer, **options: Any):
        super().__init__()
        require_kind("QMIXLoss", "actor", actor, GreedyActor, "a GreedyActor")
        require_kind("QMIXLoss", "mixer", mixer, Mixer, "a Mixer")
        settings = configure(QMIXOptions, options, "QMIXLoss")
        self.actor = actor
        self.mixer = mixer
        self.target_actor = frozen_copy(actor)
        self.target_mixer = frozen_copy(mixer)
        self.set_td_options(settings, (1,))
        self.double_q = settings.double  # `double` is a method of modules
        self.set_keys(**keys_of_group(self.default_keys(), actor.group))
        self.out_keys = ["loss_td", "target", "error"]

    @property
    def target_pairs(self) -> tuple[tuple[nn.Module, nn.Module], ...]:
        return (self.target_actor, self.actor), (self.target_mixer, self.mixer)

    @property
    def batch_keys(self) -> list[NestedKey]:
        return self.keys_with(*([self.tensor_keys.state] if self.mixer.needs_state else []))

    @property
    def optional_keys(self) -> list[NestedKey]:
        return [self.tensor_keys.mask]

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        steps = self.transitions(tensordict)
        action = need(steps, self.actor.out_keys[0])
        value = self._mix(self.mixer, steps, self.actor.values_of(steps), action)
        if self.norm is not None and self.training:
            self.norm.update(self._reward(steps))
        target = self.target(steps)
        error, loss = self.error_and_loss(value, target)
        diagnostics = mean_diagnostics(target=target, error=error.abs())
        return TensorDict({"loss_td": loss.mean(), **diagnostics})

    @torch.no_grad()
    def target(self, tensordict: TensorDictBase) -> Tensor:
        """y `[B, 1]` of transitions, in reward units."""
        keys = self.tensor_keys
        later: Any = need(tensordict, "next")
        values = self.target_actor.values_of(self.seen_by_target(later))
        scores = self.actor.values_of(later) if self.double_q else values
        # Only the choice is masked: a value must be finite even if no action is possible.
        action = mask_outputs(scores, self.actor.mask_of(later)).argmax(-1)
        future = self.to_return(self._mix(self.target_mixer, later, values, action))
        return self.bootstrapped(self._reward(tensordict), of_team(later, keys.terminated), future)

    def _reward(self, td: TensorDictBase) -> Tensor:
        """The team's reward `[B, 1]`."""
        return team_reward(td, self.tensor_keys.reward, self.tensor_keys.mask)

    def _mix(self, mixer: Mixer, td: TensorDictBase, values: Tensor, action: Tensor) -> Tensor:
        """Q_tot `[B, 1]` of actions `[B, N]` with values `[B, N, A]`."""
        state = need(td, self.tensor_keys.state) if mixer.needs_state else None
        return mixer(entries_of(values, action), state)
