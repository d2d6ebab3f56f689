"""`ActionValueLoss`: the auxiliary Q loss that trains the attention, next to any policy loss."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor

from ilvf.credit.signals import alive_in_groups, keys_of_group, need, of_group, per_agent
from ilvf.errors import require
from ilvf.losses.base import Loss
from ilvf.losses.options import EVIDENCE_HINT, PPOOptions
from ilvf.losses.ppo import huber, team_mean
from ilvf.modules import InfluenceCritic, ValueNorm
from ilvf.modules.checks import require_same_shape
from ilvf.modules.groups import group_names, joined_actions, joined_states
from ilvf.options.arguments import require_kind, require_names, require_number


class ActionValueLoss(Loss):
    """Regression of Q, the second half of eq. 9:  L = c Σ_i mean_B ℓ(Q_i(s, a), G_i),  ℓ = Huber.

    TorchRL's losses train a critic's V. The attention of an `InfluenceCritic` is trained by its Q,
    which reads the states through noisy weights; add this loss to theirs. The critic's parameters
    are shared: a TorchRL loss that is built on the same critic's `value_module()` has all of them
    in its `parameters()`.

    With `supervision` it also pulls the attention to the links that a score test has found, which
    `ILVFAdvantage` writes with a `SupervisedInfluence`:  + k Σ_i mean_B H_i (see
    `GumbelAttention.cross_entropy`).

    Where the tensordict has a mask `(group, "mask")` `[*B, N]`, dead agents (False) do not count.

    Args:
        critic: an `InfluenceCritic`.
        group: the group of agents, or the groups that share the critic, in its order.
        state_key: name of the states; "observation" for an environment without states.
        coeff: c.
        supervision: k; 0 leaves the attention to the regression alone.
        huber_delta: δ, in units of the value target, normalised if there is a `value_norm`.
        value_norm: statistics of the value targets, if the critic's outputs are normalised
            (`value_module(norm=...)`); None regresses the targets as they are. The loss reads the
            statistics; `value_norm.update` or TorchRL's `MAPPOLoss(value_norm=...)` renews them.

    Output:
        `loss_action_value`, and `loss_supervision` with k.

    Raises:
        UsageError: another critic, or a coefficient out of bounds.
    """

    @dataclass
    class _AcceptedKeys:
        action: NestedKey = ("agents", "action")
        value_target: NestedKey = ("agents", "value_target")
        mask: NestedKey = ("agents", "mask")
        link_evidence: NestedKey = ("agents", "link_evidence")

    default_keys = _AcceptedKeys
    critic: InfluenceCritic

    def __init__(
        self,
        critic: InfluenceCritic,
        *,
        group: str | Sequence[str] = "agents",
        state_key: str = "state",
        coeff: float = 1.0,
        supervision: float = 0.0,
        huber_delta: float = PPOOptions.huber_delta,
        value_norm: ValueNorm | None = None,
    ):
        super().__init__()
        found = type(critic).__name__
        require(
            isinstance(critic, InfluenceCritic),
            f"ActionValueLoss needs an InfluenceCritic, which has a Q; found {found}",
        )
        require_number("ActionValueLoss", "coeff", coeff, least=0)
        require_number("ActionValueLoss", "supervision", supervision, least=0)
        require_number("ActionValueLoss", "huber_delta", huber_delta, above=0)
        require(
            not supervision or critic.neighbours is None,
            f"supervision={supervision} is for attention to all agents, the critic attends to its "
            "neighbours alone; leave out one of them",
        )
        require_names("ActionValueLoss", state_key=state_key)
        norms = ValueNorm | None
        require_kind("ActionValueLoss", "value_norm", value_norm, norms, "a ValueNorm or None")
        self.critic = critic
        self.groups = group_names(group)
        self.state_keys = [(name, state_key) for name in self.groups]
        self.coeff = coeff
        self.supervision = supervision
        self.huber_delta = huber_delta
        self.value_norm = value_norm
        first = self.groups[0]
        pairs = "link_evidence" if len(self.groups) > 1 else (first, "link_evidence")
        self.set_keys(**keys_of_group(self.default_keys(), first) | {"link_evidence": pairs})
        self.out_keys = ["loss_action_value"]
        if supervision:
            self.out_keys.append("loss_supervision")

    @property
    def in_keys(self) -> list[NestedKey]:
        """What a call needs; the mask is optional."""
        keys = [*self.state_keys, *self._keys("action"), *self._keys("value_target")]
        return [*keys, self.tensor_keys.link_evidence] if self.supervision else keys

    def _keys(self, name: str) -> list[NestedKey]:
        """The key of an entry in every group."""
        key = getattr(self.tensor_keys, name)
        return [of_group(key, self.groups[0], group) for group in self.groups]

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        hint = "An environment without states: state_key='observation'"
        states = [need(tensordict, key, hint) for key in self.state_keys]
        actions = [need(tensordict, key) for key in self._keys("action")]
        targets = [per_agent(tensordict, key) for key in self._keys("value_target")]
        state, action = self._joined(states, actions)
        target = targets[0] if len(targets) == 1 else torch.cat(targets, -2)
        if self.value_norm is not None:
            target = self.value_norm.normalize(target)
        _, value, logits = self.critic.predict_with_logits(state, action)
        require_same_shape(self.tensor_keys.value_target, target, value)
        error = huber(value - target, self.huber_delta)
        sizes = [state.shape[-2] for state in states]
        living = alive_in_groups(tensordict, self._keys("mask"), sizes)
        if living is not None:
            error = error.masked_fill(~living, 0)
        terms = {"loss_action_value": self.coeff * team_mean(error.squeeze(-1))}
        if self.supervision:
            terms["loss_supervision"] = self._supervision(tensordict, logits, living)
        return TensorDict(terms)

    def _supervision(self, td: TensorDictBase, logits: Tensor, living: Tensor | None) -> Tensor:
        """k Σ_i mean_B H_i."""
        key = self.tensor_keys.link_evidence
        evidence = need(td, key, EVIDENCE_HINT)
        require_same_shape(key, evidence, logits)
        error = self.critic.attention.cross_entropy(logits, evidence, living)
        return self.supervision * team_mean(error)

    def _joined(self, states: list[Tensor], actions: list[Tensor]) -> tuple[Tensor, Tensor]:
        """States and actions of the whole team."""
        if len(states) == 1:
            return states[0], actions[0]
        _, width = self.critic.sizes
        return joined_states(states, width), joined_actions(actions, states, self.critic.actions)
