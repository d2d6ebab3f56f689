"""`PPOLoss`: clipped surrogate on given advantages, and Huber regression of V and Q."""

from dataclasses import dataclass
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor, nn
from torch.nn.functional import huber_loss

from ilvf.credit.signals import alive, key_tuple, keys_of_group, need, per_agent
from ilvf.errors import UsageError, require
from ilvf.losses.base import Loss
from ilvf.losses.options import EVIDENCE_HINT, WEIGHT_HINT, AttentionPPOOptions
from ilvf.modules import RewardModel, ValueNorm
from ilvf.modules.actors.network import StochasticActor
from ilvf.modules.checks import require_same_shape, require_tensordict
from ilvf.modules.critics.base import AttentionCritic
from ilvf.modules.memory import ENDED, AgentMemory
from ilvf.options import configure
from ilvf.options.arguments import found_words, require_kind

Terms = dict[str, Tensor]


class PPOLoss(Loss):
    """One clipped-surrogate loss for all on-policy algorithms (eq. 9 and 11).

        L = Σ_i mean_B[ −min(ρ_i Â_i, clip(ρ_i, 1 ± ε) Â_i) − β H(π_i)
                        + c (ℓ(V_i, G_i) + ℓ(Q_i, G_i)) + s w̄_i + k H_i ]

    with ρ_i = π_i / π_i,old, ℓ = Huber, w̄_i = mean_{j≠i} w_ij, and H_i the cross-entropy between
    w_ij and evidence for a link (`GumbelAttention.cross_entropy`). Mean over the batch, SUM over
    agents. The advantages are used as they are. Critics without Q have no Q loss. V is clipped
    around its value at collection, Q is not, as its value at collection is random. With a
    `value_norm`, the critic's outputs and the value clipping are in normalized units.

    w̄_i is a prior on few influences, on the noise-free attention. It is not in the paper (s = 0).
    It decides weights that the returns do not: where s_j = 0, w_ij s_j is 0 for every w_ij.

    H_i pulls the noise-free attention to influence that was measured: to `link_evidence`
    `[*B, N, N]`, row = acting agent, which a `SupervisedInfluence` makes `ILVFAdvantage` write. It
    is not in the paper (k = 0).

    With `attention_share` < 1 the attention and Q learn from that share of the rows, drawn anew in
    each call: ℓ(Q_i, G_i), w̄_i and H_i are means over it. V_i learns from all rows. In the others
    it reads the w of their collection, at `influence_weight`. This is cheaper, as the attention is
    half of a step and more. It is not in the paper (share 1, the default of this class).

    With a `reward_model` the loss has its mean squared error too, in units of the team reward's
    standard deviation.

    With a recurrent actor or critic the batch is sequences `[*C, L]` in the order of time, with
    `("next", "done")` and the hidden states of their collection, of which the first are read.

    Where the tensordict has a `mask` `[*B, N]`, dead agents (False) do not count in any term. What
    networks read of them must be finite all the same, as `check_env` requires.

    Args:
        actor: the loss owns its parameters. Keys are of the actor's group.
        critic: the loss owns its parameters. Any module with `predict(state, action)` → values,
            and action values or None (see `Critic`).
        value_norm: statistics of the value targets, to which the caller gives the targets of each
            rollout (`value_norm.update`) before the loss; None regresses the targets as they are,
            and clips no value unless `value_clip`, then in units of the reward, is given.
        reward_model: the loss owns its parameters; None where agents get rewards of their own.
        **options: see `AttentionPPOOptions`; ε is `clip`, β `entropy`, c `value`, s `sparsity`,
            k `supervision`.

    Output:
        `loss_objective`, `loss_entropy`, `loss_value`, `loss_action_value` (with Q),
        `loss_sparsity` (with s), `loss_supervision` (with k) and `loss_reward` (with a reward
        model), whose sum is L, and as detached diagnostics `entropy`, `clip_fraction` and `kl`.

    Raises:
        UsageError: another actor, an option out of bounds, or s, k or a share without a Gumbel
            attention.
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
        reward: NestedKey = ("agents", "reward")
        link_evidence: NestedKey = ("agents", "link_evidence")
        influence_weight: NestedKey = ("agents", "influence_weight")

    default_keys = _AcceptedKeys
    actor: StochasticActor
    critic: Any
    value_norm: ValueNorm | None
    reward_model: RewardModel | None

    def __init__(
        self,
        actor: StochasticActor,
        critic: nn.Module,
        value_norm: ValueNorm | None = None,
        reward_model: RewardModel | None = None,
        **options: Any,
    ):
        super().__init__()
        settings = configure(AttentionPPOOptions, options, "PPOLoss")
        require(
            isinstance(actor, StochasticActor),
            "PPOLoss needs a CategoricalActor, a MultiCategoricalActor or a GaussianActor, found "
            f"{found_words(actor)}; for other actors use TorchRL's MAPPOLoss with ILVFAdvantage "
            "and ActionValueLoss",
        )
        require(
            hasattr(critic, "predict"),
            f"PPOLoss: critic needs a method predict(state, action), as a StateCritic or an "
            f"InfluenceCritic has, found {found_words(critic)}",
        )
        require_kind("PPOLoss", "value_norm", value_norm, ValueNorm | None, "a ValueNorm or None")
        found = reward_model
        require_kind("PPOLoss", "reward_model", found, RewardModel | None, "a RewardModel or None")
        attends = isinstance(critic, AttentionCritic)
        for name, paper in (("sparsity", 0), ("supervision", 0), ("attention_share", 1)):
            given = getattr(settings, name)
            require(
                attends or given is None or given == paper,
                f"{name}={given} is for critics with Gumbel attention, "
                f"found {type(critic).__name__}",
            )
        for name in ("sparsity", "supervision"):
            coefficient = getattr(settings, name)
            require(
                not coefficient or getattr(critic, "neighbours", None) is None,
                f"{name}={coefficient} is for attention to all agents, the critic attends to its "
                "neighbours alone; leave out one of them",
            )
        self.actor = actor
        self.critic = critic
        self.value_norm = value_norm
        self.reward_model = reward_model
        self.clip = settings.clip
        self.entropy = settings.entropy
        self.value = settings.value
        self.value_clip = settings.value_clip
        if value_norm is None and "value_clip" not in options:
            self.value_clip = None  # the default is in normalised units
        self.huber_delta = settings.huber_delta
        self.sparsity = settings.sparsity
        self.supervision = settings.supervision or 0.0
        self.attention_share = settings.attention_share or 1.0
        self.set_keys(**keys_of_group(self.default_keys(), actor.group))

    @property
    def in_keys(self) -> list[NestedKey]:
        """What a call needs; without `normalised_value`, `value` is normalized instead."""
        optional = self.tensor_keys.normalised_value
        return [key for key in self.batch_keys if key != optional]

    @property
    def out_keys(self) -> list[NestedKey]:
        """What a call returns; a critic of one's own with Q returns its loss too."""
        attends = isinstance(self.critic, AttentionCritic)
        found = {
            "loss_objective": True,
            "loss_entropy": True,
            "loss_value": True,
            "loss_action_value": attends,
            "loss_sparsity": bool(self.sparsity),
            "loss_supervision": bool(self.supervision),
            "loss_reward": self.reward_model is not None,
        }
        terms: list[NestedKey] = [name for name, there in found.items() if there]
        return [*terms, "entropy", "clip_fraction", "kl"]

    def make_value_estimator(self, *arguments: Any, **options: Any) -> None:
        """Refused: the loss takes advantages as they are."""
        raise UsageError("PPOLoss takes advantages as they are; call ILVFAdvantage on the rollout")

    @property
    def batch_keys(self) -> list[NestedKey]:
        """The keys that the loss reads of a minibatch; the mask is optional."""
        optional = {"mask", "reward"}
        if not self.supervision:
            optional.add("link_evidence")
        if self.attention_share == 1:
            optional.add("influence_weight")
        keys = [key for name, key in vars(self.tensor_keys).items() if name not in optional]
        if self.reward_model is not None:
            keys.append(self.reward_key)
        memories = self.memories
        if memories:
            keys += [ENDED, *(memory.key for memory in memories)]
        return list(dict.fromkeys([*self.actor.in_keys, *keys, self.actor.sample_key]))

    @property
    def reward_key(self) -> NestedKey:
        """Of the reward after a step."""
        return ("next", *key_tuple(self.tensor_keys.reward))

    @property
    def critic_memory(self) -> AgentMemory | None:
        """The memory of the critic, if it has one."""
        found = getattr(self.critic, "memory", None)
        return found if isinstance(found, AgentMemory) else None

    @property
    def memories(self) -> list[AgentMemory]:
        """Those of actor and critic; with any, a minibatch is sequences `[*C, L]`."""
        found = (self.actor.memory, self.critic_memory)
        return [memory for memory in found if memory is not None]

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        require_tensordict(tensordict)
        n_agents = self.actor.arguments["n_agents"]
        living = alive(tensordict, self.tensor_keys.mask, n_agents)
        terms, diagnostics = self._policy_terms(tensordict, living)
        terms |= self._critic_terms(tensordict, living)
        if self.reward_model is not None:
            terms["loss_reward"] = self.reward_error(tensordict).square().mean()
        return TensorDict({**terms, **diagnostics})

    def _policy_terms(self, td: TensorDictBase, living: Tensor | None) -> tuple[Terms, Terms]:
        """The surrogate and the entropy bonus, and the diagnostics."""
        keys = self.tensor_keys
        log_prob, entropy = self.actor.evaluate(td)
        old_log_prob = need(td, keys.action_log_prob)
        require_same_shape(keys.action_log_prob, old_log_prob, log_prob)
        advantage = per_agent(td, keys.advantage).squeeze(-1)
        require_same_shape(keys.advantage, advantage, log_prob)
        gain, ratio = clipped_surrogate(log_prob, old_log_prob, advantage, self.clip)
        if living is not None:
            gain = gain.masked_fill(~living.squeeze(-1), 0)
            entropy = entropy.masked_fill(~living.squeeze(-1), 0)
        terms = {
            "loss_objective": -team_mean(gain),
            "loss_entropy": -self.entropy * team_mean(entropy),
        }
        with torch.no_grad():
            diagnostics = {
                "entropy": entropy,
                "clip_fraction": ((ratio - 1).abs() > self.clip).float(),
                "kl": ratio - 1 - (log_prob - old_log_prob),  # Schulman's estimator k3, never < 0
            }
            return terms, {k: living_mean(v, living) for k, v in diagnostics.items()}

    def _critic_terms(self, td: TensorDictBase, living: Tensor | None) -> Terms:
        """What V, Q and the attention learn from, the latter two from the first rows alone."""
        first, others = td, None
        rows = td.shape[0] if td.batch_dims else 1
        taught = max(1, round(self.attention_share * rows))
        if taught < rows:
            order = torch.randperm(rows, device=need(td, self.tensor_keys.state).device)
            td = td.select(*self._critic_keys, strict=False)[order]
            living = None if living is None else living[order]
            first, others = td[:taught], td[taught:]
        value, action_value, logits = self._predict(first)
        if others is not None:
            value = torch.cat([value, self._value_given(others)])
        target = self._target(td, value)
        terms = {"loss_value": self._regression(self._value_error(td, value, target), living)}
        if others is not None:
            target = target[:taught]
            living = None if living is None else living[:taught]
        if action_value is not None:
            error = huber(action_value - target, self.huber_delta)
            terms["loss_action_value"] = self._regression(error, living)
        if logits is not None:
            terms |= self._attention_terms(first, living, logits)
        return terms

    @property
    def _critic_keys(self) -> list[NestedKey]:
        """What the terms of the critic read, of a critic without memory."""
        names = ("state", "action", "value_target", "normalised_value", "value")
        pairs = ("link_evidence", "influence_weight")
        return [getattr(self.tensor_keys, name) for name in (*names, *pairs)]

    def _predict(self, td: TensorDictBase) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """V, Q if the critic has it, and the logits of its attention if a term needs them."""
        keys = self.tensor_keys
        inputs = need(td, keys.state), need(td, keys.action)
        if self.sparsity or self.supervision:
            return self.critic.predict_with_logits(*inputs)
        memory = self.critic_memory
        past = {} if memory is None else memory.past(td)
        return *self.critic.predict(*inputs, **past), None

    def _value_given(self, td: TensorDictBase) -> Tensor:
        """V with the attention of the collection."""
        keys = self.tensor_keys
        weight = need(td, keys.influence_weight, WEIGHT_HINT)
        return self.critic.value_given(need(td, keys.state), weight)

    def _target(self, td: TensorDictBase, value: Tensor) -> Tensor:
        """What `value` regresses, in the critic's units."""
        target = per_agent(td, self.tensor_keys.value_target)
        if self.value_norm is not None:
            target = self.value_norm.normalize(target)
        require_same_shape(self.tensor_keys.value_target, target, value)
        return target

    def _regression(self, error: Tensor, living: Tensor | None) -> Tensor:
        """c times the team's mean of an error over the living agents."""
        if living is not None and error.shape[-2] == living.shape[-2]:  # not for a team's value
            error = error.masked_fill(~living, 0)
        return self.value * team_mean(error.squeeze(-1))

    def _value_error(self, td: TensorDictBase, value: Tensor, target: Tensor) -> Tensor:
        if self.value_clip is None:
            return huber(value - target, self.huber_delta)
        old = self._old_value(td)
        require_same_shape(self.tensor_keys.normalised_value, old, value)
        return clipped_value_loss(value, old, target, clip=self.value_clip, delta=self.huber_delta)

    def _old_value(self, td: TensorDictBase) -> Tensor:
        """The critic's output at collection; without it, `state_value`, normalized."""
        old = td.get(self.tensor_keys.normalised_value, None)
        if old is not None:
            return old
        value = need(td, self.tensor_keys.value)
        return value if self.value_norm is None else self.value_norm.normalize(value)

    def reward_error(self, td: TensorDictBase) -> Tensor:
        """`RewardModel.error` in every state of a batch or a rollout, `[*B]`."""
        assert self.reward_model is not None
        return self.reward_model.error(*self._outcome(td))

    def split_reward(self, td: TensorDictBase) -> Tensor:
        """`RewardModel.split` of the rewards of a rollout `[*B, N, 1]`."""
        assert self.reward_model is not None
        return self.reward_model.split(*self._outcome(td))

    def _outcome(self, td: TensorDictBase) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Rewards, observations and actions, and who lives, as a `RewardModel` reads them."""
        living = alive(td, self.tensor_keys.mask, self.actor.arguments["n_agents"])
        observation = need(td, self.actor.in_keys[0])
        reward = per_agent(td, self.reward_key).to(observation.dtype)
        return reward, observation, need(td, self.tensor_keys.action), living

    def _attention_terms(self, td: TensorDictBase, living: Tensor | None, logits: Tensor) -> Terms:
        """The prior on few influences, and the pull to measured influences."""
        attention = self.critic.attention
        terms = {}
        if self.sparsity:
            terms["loss_sparsity"] = (self.sparsity, attention.to_others(logits, living))
        if self.supervision:
            evidence = need(td, self.tensor_keys.link_evidence, EVIDENCE_HINT)
            require_same_shape(self.tensor_keys.link_evidence, evidence, logits)
            error = attention.cross_entropy(logits, evidence, living)
            terms["loss_supervision"] = (self.supervision, error)
        if living is not None:
            dead = ~living.squeeze(-1)
            terms = {name: (c, term.masked_fill(dead, 0)) for name, (c, term) in terms.items()}
        return {name: c * team_mean(term) for name, (c, term) in terms.items()}


ILVFLoss = PPOLoss
"""Former name of `PPOLoss`, when ILVF-P was its only algorithm."""


# ---------------------------------------------------------------------- formulas
def clipped_surrogate(
    log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, clip: float
) -> tuple[Tensor, Tensor]:
    """PPO's objective, elementwise (Schulman et al., 2017).

        min(ρ Â, clip(ρ, 1 ± ε) Â),    ρ = exp(log_prob − old_log_prob)

    Args:
        log_prob, old_log_prob: of the action, under the learned policy and at collection.
        advantage: Â.
        clip: ε.

    Returns:
        The objective, and the ratio ρ.
    """
    ratio = (log_prob - old_log_prob).exp()
    clipped_ratio = ratio.clamp(1 - clip, 1 + clip)
    return torch.minimum(ratio * advantage, clipped_ratio * advantage), ratio


def huber(error: Tensor, delta: float) -> Tensor:
    """Huber loss, elementwise:  ½ e² for |e| ≤ δ,  δ (|e| − ½ δ) beyond.  Table 1: δ = 10."""
    return huber_loss(error, torch.zeros_like(error), reduction="none", delta=delta)


def clipped_value_loss(
    value: Tensor, old_value: Tensor, target: Tensor, *, clip: float, delta: float
) -> Tensor:
    """The larger of the Huber losses of V and of the clipped V, elementwise.

    The clipped V stays within ±clip of the value at collection, `old_value`.
    """
    clipped = old_value + (value - old_value).clamp(-clip, clip)
    return torch.maximum(huber(value - target, delta), huber(clipped - target, delta))


def team_mean(x: Tensor) -> Tensor:
    """Mean over the batch and SUM over agents of `[*B, N]`.

    With the sum, an agent's gradient does not depend on the size of the team.
    """
    return x.sum(-1).mean()


def living_mean(x: Tensor, living: Tensor | None) -> Tensor:
    """Mean over the batch and the living agents of `[*B, N]`; 0 if all agents are dead.

    The sum is masked instead of indexed: the size of `x[living]` would be read from the device.

    Args:
        x: `[*B, N]`.
        living: bool `[*B, N, 1]`, see `ilvf.credit.signals.alive`; None if all agents live.
    """
    if living is None:
        return x.mean()
    lives = living.squeeze(-1)
    return x.masked_fill(~lives, 0).sum() / lives.sum().clamp_min(1)
