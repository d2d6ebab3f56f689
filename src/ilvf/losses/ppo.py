"""`ILVFLoss`: PPO's clipped surrogate on local advantages, and Huber regression of V and Q."""

from dataclasses import dataclass
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor, nn
from torchrl.objectives.common import LossModule

from ilvf.credit.signals import alive, need
from ilvf.errors import require
from ilvf.losses.functional import clipped_surrogate, clipped_value_loss, huber, team_mean
from ilvf.modules import ActionInfluenceCritic, CategoricalActor, InfluenceCritic, ValueNorm


class ILVFLoss(LossModule):
    """The loss of ILVF-P (eq. 9 and 11); with a `StateCritic`, of MAPPO and IPPO-C.

        L = Σ_i mean_B[ −min(ρ_i Â_i, clip(ρ_i, 1 ± ε) Â_i) − β H(π_i) + c (ℓ(V_i, G_i) + ℓ(Q_i, G_i)) + s w̄_i ]

    ρ_i = π_i/π_i,old; ℓ = Huber; V (not Q, whose stored value is random) with value clipping. All in normalised values
    when there is a `value_norm`. Mean over the batch, SUM over agents. Advantages are used as they are.

    Args:
        actor, critic: own their parameters here. A critic is any module with `predict(state, action)` → values and, or
            None, action values, to regress (`ilvf.modules`).
        value_norm: statistics of the targets; None regresses them as they are.
        clip: ε of the surrogate.
        entropy: β.
        value: c.
        huber_delta: δ.
        value_clip: radius of the value clipping in normalised units; None for none.
        sparsity: s, a prior on few influences: w̄_i = mean_{j≠i} w_ij of the attention, without noise. Not in the paper
            (0); it decides where the returns do not, such as where s_j = 0 and w_ij s_j is 0 whatever w_ij is.

    Where the tensordict has a `mask` `[*B, N]`, only agents that are alive (True) count, in every term.

    The value at collection, for its clipping, is `normalised_value`, the critic's own output, where there is one, and
    else `state_value`, normalised.

    Output: `loss_objective`, `loss_entropy`, `loss_value`, `loss_action_value` (with Q) and `loss_sparsity` (with s),
    which sum to L, and the diagnostics `entropy`, `clip_fraction`, `kl`, detached.
    """

    @dataclass
    class _AcceptedKeys:
        action_log_prob: NestedKey = ("agents", "action_log_prob")
        advantage: NestedKey = ("agents", "advantage")
        value_target: NestedKey = ("agents", "value_target")
        normalised_value: NestedKey = ("agents", "normalised_value")
        value: NestedKey = ("agents", "state_value")
        state: NestedKey = ("agents", "state")
        action: NestedKey = ("agents", "action")
        mask: NestedKey = ("agents", "mask")

    default_keys = _AcceptedKeys
    actor: CategoricalActor
    critic: Any
    value_norm: ValueNorm | None

    def __init__(
        self,
        actor: CategoricalActor,
        critic: nn.Module,
        value_norm: ValueNorm | None = None,
        *,
        clip: float = 0.2,
        entropy: float = 0.01,
        value: float = 1.0,
        huber_delta: float = 10.0,
        value_clip: float | None = 0.2,
        sparsity: float = 0.0,
    ):
        super().__init__()
        require(
            isinstance(actor, CategoricalActor),
            f"ILVFLoss needs a CategoricalActor, found {type(actor).__name__}; for continuous or recurrent actors use "
            "TorchRL's MAPPOLoss with ILVFAdvantage and ActionValueLoss",
        )
        require(
            value_clip is None or value_clip > 0,
            f"value_clip={value_clip} must be positive, or null for none",
        )
        require(clip > 0, f"clip={clip} must be positive; the usual value is 0.2")
        require(
            entropy >= 0 and value >= 0, f"entropy={entropy} and value={value} must not be negative"
        )
        require(huber_delta > 0, f"huber_delta={huber_delta} must be positive; Table 1 has 10")
        require(sparsity >= 0, f"sparsity={sparsity} must not be negative")
        require(
            not sparsity or isinstance(critic, InfluenceCritic | ActionInfluenceCritic),
            f"sparsity={sparsity} is for critics with Gumbel attention, found {type(critic).__name__}",
        )
        self.actor, self.critic, self.value_norm = actor, critic, value_norm
        self.sparsity = sparsity
        self.clip, self.entropy, self.value = clip, entropy, value
        self.huber_delta, self.value_clip = huber_delta, value_clip
        self.in_keys = self.batch_keys

    @property
    def functional(self) -> bool:
        return False

    @property
    def batch_keys(self) -> list[NestedKey]:
        """What a minibatch must hold; `mask` it may."""
        keys = {k: v for k, v in vars(self.tensor_keys).items() if k != "mask"}
        return list(dict.fromkeys([*self.actor.in_keys, *keys.values()]))

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        living = alive(tensordict, self.tensor_keys.mask, self.actor.arguments["n_agents"])
        policy, diagnostics = self._policy_terms(tensordict, living)
        terms = {**policy, **self._value_terms(tensordict, living)}
        if self.sparsity:
            terms["loss_sparsity"] = self.sparsity * self._spread(tensordict, living)
        return TensorDict({**terms, **{k: v.detach() for k, v in diagnostics.items()}})

    def _policy_terms(
        self, td: TensorDictBase, living: Tensor | None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        keys = self.tensor_keys
        log_prob, entropy = self.actor.evaluate(td)
        old, advantage = td.get(keys.action_log_prob), td.get(keys.advantage).squeeze(-1)
        gain, ratio = clipped_surrogate(log_prob, old, advantage, self.clip)
        if living is not None:
            gain, entropy = (x.masked_fill(~living.squeeze(-1), 0) for x in (gain, entropy))
        terms = {
            "loss_objective": -team_mean(gain),
            "loss_entropy": -self.entropy * team_mean(entropy),
        }
        with torch.no_grad():
            seen = {
                "entropy": entropy,
                "clip_fraction": ((ratio - 1).abs() > self.clip).float(),
                "kl": ratio - 1 - (log_prob - old),  # Schulman's k3 estimator, never negative
            }
        return terms, {
            k: v.mean() if living is None else v[living.squeeze(-1)].mean() for k, v in seen.items()
        }

    def _value_terms(self, td: TensorDictBase, living: Tensor | None) -> dict[str, Tensor]:
        keys = self.tensor_keys
        target = need(td, keys.value_target)
        if self.value_norm is not None:
            target = self.value_norm.normalise(target)
        value, action_value = self.critic.predict(need(td, keys.state), need(td, keys.action))
        if self.value_clip is None:
            error = huber(value - target, self.huber_delta)
        else:
            old = self._old_value(td)
            error = clipped_value_loss(
                value, old, target, clip=self.value_clip, delta=self.huber_delta
            )
        errors = {"loss_value": error}
        if action_value is not None:
            errors["loss_action_value"] = huber(action_value - target, self.huber_delta)
        if (
            living is not None and value.shape[-2] == living.shape[-2]
        ):  # one value of the whole team lives on
            errors = {k: v.masked_fill(~living, 0) for k, v in errors.items()}
        return {k: self.value * team_mean(v.squeeze(-1)) for k, v in errors.items()}

    def _spread(self, td: TensorDictBase, living: Tensor | None) -> Tensor:
        """Σ_i mean_B mean_{j≠i} w_ij."""
        _, weight, _ = self.critic(td.get(self.tensor_keys.state))  # column = critic
        others = weight - torch.diag_embed(weight.diagonal(dim1=-2, dim2=-1))
        spread = others.sum(-2) / max(weight.shape[-1] - 1, 1)
        return team_mean(spread if living is None else spread.masked_fill(~living.squeeze(-1), 0))

    def _old_value(self, td: TensorDictBase) -> Tensor:
        old = td.get(self.tensor_keys.normalised_value, None)
        if old is None:
            old = td.get(self.tensor_keys.value)
            old = old if self.value_norm is None else self.value_norm.normalise(old)
        return old
