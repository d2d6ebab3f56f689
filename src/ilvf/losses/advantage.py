"""`ILVFAdvantage`: any per-agent advantage estimator, mixed by who influences whom."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase, dispatch
from tensordict.utils import NestedKey, unravel_key
from torch import Tensor
from torchrl.objectives.value import ValueEstimatorBase

from ilvf.errors import UsageError, require, require_choice
from ilvf.losses.discretise import Threshold
from ilvf.losses.functional import force_diagonal, local_advantage, standardise

Discretise = Callable[[Tensor, torch.Generator | None], Tensor]
SIGNALS = ("reward", "done", "terminated")


class ILVFAdvantage(ValueEstimatorBase):
    """Influence-based local advantages:  Â_i = Σ_j Ŵ_ij A_j  (eq. 10), as a TorchRL value estimator.

    `inner` estimates every agent's own advantage A_j; this class decides whose advantages each agent is credited with.
    A transform of a rollout `[*B, T]`: call it, put it in a `TensorDictSequential`, or give it to a loss by
    `loss.make_value_estimator(...)`.

    Args:
        inner: any value estimator (`GAE`, `MultiAgentGAE`, `TDLambdaEstimator`, ...). With `value_network=None` it
            reads the values that `critic` writes.
        critic: module that writes the value key and, unless `influence` is given, the influence weight; run once on
            the states and once on the next states. None if the tensordict has both already.
        influence: a fixed graph `[N, N]`, row = acting agent, column = agent whose return it moves (ones: MAPPO,
            identity: IPPO-C, a known topology). None takes the weights from the tensordict.
        discretise: `Threshold`, `Bernoulli` or `Soft`, how weights become Ŵ. Not applied to a fixed graph.
        orientation: `influence` reads rows as acting agents; `attention` transposes: the literal reading of eq. 10
            (see App. B.3 for why it is not the default).
        diagonal: force Ŵ_ii = 1; False is the paper's literal text. Not applied to a fixed graph.
        normalize: `agent`, `global` or `none`: standardise the local advantage over the rollout, per agent or pooled.
        generator: of the sampling; None uses torch's global one.
        shifted: take V(s_{t+1}) from the state of step t + 1 and evaluate next states only where an episode or the
            rollout ends: half the work, for rollouts `[*B, T]` that are contiguous in their last axis.

    Keys (`set_keys`): `advantage` (the local one), `individual_advantage`, `value_target`, `value`, `reward`, `done`,
    `terminated`, `influence_weight` (read), `influence` (written). Team-level reward and done `[*B, T, 1]` are
    broadcast to the agents.
    """

    @dataclass
    class _AcceptedKeys:
        advantage: NestedKey = ("agents", "advantage")
        individual_advantage: NestedKey = ("agents", "individual_advantage")
        value_target: NestedKey = ("agents", "value_target")
        value: NestedKey = ("agents", "state_value")
        reward: NestedKey = ("agents", "reward")
        done: NestedKey = "done"
        terminated: NestedKey = "terminated"
        steps_to_next_obs: NestedKey = "steps_to_next_obs"
        sample_log_prob: NestedKey = ("agents", "action_log_prob")
        influence_weight: NestedKey = ("agents", "influence_weight")
        influence: NestedKey = ("agents", "influence")

    default_keys = _AcceptedKeys

    def __init__(
        self,
        inner: ValueEstimatorBase,
        critic: TensorDictModuleBase | None = None,
        influence: Tensor | None = None,
        *,
        discretise: Discretise | None = None,
        orientation: str = "influence",
        diagonal: bool = True,
        normalize: str = "agent",
        generator: torch.Generator | None = None,
        shifted: bool = False,
    ):
        super().__init__(value_network=critic if critic is not None else inner.value_network)
        require_choice("orientation", orientation, ("influence", "attention"))
        require_choice("normalize", normalize, ("agent", "global", "none"))
        if influence is not None:
            found = tuple(influence.shape)
            require(
                len(found) == 2 and found[0] == found[1], f"influence must be a square [N, N] tensor, found {found}"
            )
        self.inner = inner
        self.__dict__["critic"] = critic  # not a submodule: the loss owns the networks
        self.register_buffer("graph", influence)
        self.discretise: Discretise = discretise or Threshold()
        self.orientation, self.diagonal, self.normalize = orientation, diagonal, normalize
        self.generator, self.contiguous = generator, shifted
        self.set_keys()

    graph: Tensor | None

    def set_keys(self, **kwargs: NestedKey) -> None:
        super().set_keys(**kwargs)
        shared = set(asdict(self.inner.tensor_keys)) & {*SIGNALS, "value", "value_target", "steps_to_next_obs"}
        keys = {k: unravel_key(getattr(self.tensor_keys, k)) for k in shared}
        self.inner.set_keys(**keys, advantage=self.tensor_keys.individual_advantage)

    @dispatch
    def forward(
        self,
        tensordict: TensorDictBase,
        *,
        params: TensorDictBase | None = None,
        target_params: TensorDictBase | None = None,
        time_dim: int | None = None,
    ) -> TensorDictBase:
        """Write the local advantage, and all it is made of, into the rollout `[*B, T]`."""
        keys = self.tensor_keys
        if self.critic is not None:
            self._value(tensordict)
        work = self._broadcast(tensordict)
        options: dict[str, Any] = {} if time_dim is None else {"time_dim": time_dim}
        self.inner(work, params=params, target_params=target_params, **options)
        own = work.get(keys.individual_advantage)
        influence = self._influence(tensordict, own)
        advantage = local_advantage(influence, own)
        if self.normalize != "none":
            advantage = standardise(advantage, per_agent=self.normalize == "agent")
        tensordict.set(keys.individual_advantage, own)
        tensordict.set(keys.value_target, work.get(keys.value_target))
        tensordict.set(keys.influence, influence)
        return tensordict.set(keys.advantage, advantage)

    def value_estimate(self, tensordict: TensorDictBase, **kwargs: Any) -> Tensor:
        """The value target of `inner`, without mixing."""
        if self.critic is not None:
            self._value(tensordict)
        return self.inner.value_estimate(self._broadcast(tensordict), **kwargs)

    # ------------------------------------------------------------------ steps
    @torch.no_grad()
    def _value(self, tensordict: TensorDictBase) -> None:
        """Write V, and V of the next states."""
        key, following = self.tensor_keys.value, tensordict.get("next").select(*self.critic.in_keys)
        self.critic(tensordict)
        if not self.contiguous:
            tensordict.set(("next", key), self.critic(following).get(key))
            return
        value, ends = tensordict.get(key), self._ends(tensordict)
        following_value = torch.cat([value[..., 1:, :, :], value[..., -1:, :, :]], -3)
        following_value[ends] = self.critic(following[ends]).get(key)
        tensordict.set(("next", key), following_value)

    def _ends(self, tensordict: TensorDictBase) -> Tensor:
        """bool `[*B, T]`: the steps after which the rollout does not go on with the next state."""
        done = self._need(tensordict, ("next", *_as_tuple(self.tensor_keys.done)))
        ends = done.flatten(tensordict.ndim).any(-1)
        ends[..., -1] = True
        return ends

    def _broadcast(self, tensordict: TensorDictBase) -> TensorDictBase:
        """A shallow copy in which team-level reward and done `[*B, T, 1]` have an agent axis."""
        keys, work = self.tensor_keys, tensordict.copy()
        shape = self._need(tensordict, keys.value).shape if self.inner.value_network is None else None
        for name in SIGNALS:
            key = ("next", *_as_tuple(getattr(keys, name)))
            signal = self._need(tensordict, key)
            if shape is not None and signal.ndim == len(shape) - 1:
                work.set(key, signal.unsqueeze(-2).expand(shape))
        return work

    @torch.no_grad()
    def _influence(self, tensordict: TensorDictBase, advantage: Tensor) -> Tensor:
        """Ŵ `[*B, T, N, N]` (a fixed graph is expanded, not copied)."""
        n, need = advantage.shape[-2], (*advantage.shape[:-1], advantage.shape[-2])
        if self.graph is not None:
            require(self.graph.shape[0] == n, f"influence is for {self.graph.shape[0]} agents, the advantage has {n}")
            return self.graph.to(advantage).expand(need)
        weight = self._need(tensordict, self.tensor_keys.influence_weight)
        found = tuple(weight.shape)
        require(found == need, f"{self.tensor_keys.influence_weight} has shape {found}, need {need}")
        if self.orientation == "attention":
            weight = weight.transpose(-1, -2)
        influence = self.discretise(weight, self.generator)
        return force_diagonal(influence) if self.diagonal else influence

    @staticmethod
    def _need(tensordict: TensorDictBase, key: NestedKey) -> Tensor:
        value = tensordict.get(key, None)
        if value is None:
            found = sorted(map(str, tensordict.keys(True, True)))
            raise UsageError(f"ILVFAdvantage needs the key {key}; the tensordict has {', '.join(found)}")
        return value


def _as_tuple(key: NestedKey) -> tuple[str, ...]:
    return key if isinstance(key, tuple) else (key,)
