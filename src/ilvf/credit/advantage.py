"""`ILVFAdvantage`: any per-agent advantage estimator, mixed by who influences whom."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase, dispatch
from tensordict.utils import NestedKey, unravel_key
from torch import Tensor
from torchrl.objectives.value import MultiAgentGAE, ValueEstimatorBase

from ilvf.credit.discretise import Threshold
from ilvf.credit.functional import force_diagonal, local_advantage, standardise
from ilvf.credit.signals import (
    all_alive,
    bury,
    key_tuple,
    need,
    number_of_agents,
    of_group,
    per_agent,
    require_critic,
    require_graph,
    time_axis,
    to_agents,
    write_values,
)
from ilvf.errors import UsageError, require, require_choice

Discretise = Callable[[Tensor, torch.Generator | None], Tensor]
SIGNALS = ("reward", "done", "terminated")
_PASSED_ON = ("value", "value_target", "steps_to_next_obs", "sample_log_prob")
WEIGHTS = "It comes from an InfluenceCritic's value_module(), from any module that writes it, or give influence=[N, N]"


class ILVFAdvantage(ValueEstimatorBase):
    """Influence-based local advantages:  Â_i = Σ_j Ŵ_ij A_j  (eq. 10), as a TorchRL value estimator.

    `inner` estimates every agent's own advantage A_j; this class decides whose advantages each agent is credited with.
    A transform of a rollout `[*B, T]`: call it, put it in a `TensorDictSequential`, make it a collector's `postproc` or
    a replay buffer's transform, or give it to a loss by `loss.make_value_estimator(...)` (and then call
    `loss.set_keys(...)`, which TorchRL passes on). Actors play no part in it: discrete, continuous and recurrent ones
    all work.

    Args:
        inner: any value estimator (`GAE`, `MultiAgentGAE`, `TD0Estimator`, `TD1Estimator`, `TDLambdaEstimator`,
            `VTrace`, ...). With `value_network=None` it reads the values that `critic` writes; with one of its own, and
            no `critic`, that network is run once more for the influence weight if it writes it.
        critic: module that writes the value key and, unless `influence` is given, the influence weight; run once on
            the states and once on the next states, with the parameters that it has. Not a recurrent one: put that into
            `MultiAgentGAE(value_network=critic, shifted=True)`. None if the tensordict has both already.
        influence: a fixed graph `[N, N]`, row = acting agent, column = agent whose return it moves (ones: MAPPO,
            identity: IPPO-C, a known topology such as `env.influence_graph`; graphs of what *enters* an agent's reward,
            such as `env.reward_graph`, are its transpose). None takes the weights from the tensordict.
        group: of the agents, or several groups that share one influence matrix over all their agents, in this order.
            Of several, each has keys of its own, `(group, "advantage")`, and the weights are at the root,
            `"influence_weight"`.
        discretise: `Threshold`, `Bernoulli` or `Soft`, how weights become Ŵ. Not applied to a fixed graph.
        orientation: `influence` reads rows as acting agents; `attention` transposes: the literal reading of eq. 10
            (see App. B.3 for why it is not the default).
        diagonal: force Ŵ_ii = 1; False is the paper's literal text. Not applied to a fixed graph.
        normalize: `agent`, `global` or `none`: standardise the local advantage over the rollout, per agent or pooled.
        generator: of the sampling; None uses torch's global one.
        shifted: take V(s_{t+1}) from the state of step t + 1 and evaluate next states only where an episode or the
            rollout ends: half the work, for rollouts whose steps follow each other.

    Keys (`set_keys`): `advantage` (the local one), `individual_advantage`, `value_target`, `value`, `reward`, `done`,
    `terminated`, `influence_weight` (read), `influence` (written), `mask`. Reward and done of the whole team,
    `[*B, T, 1]`, are broadcast to the agents. Where there is a `mask` `[*B, T, N]`, agents that it calls dead (False)
    neither get credit nor give any, and do not count in the normalisation; where the next state has one too, their
    values are 0 from their death on (an `inner` with a network of its own must see to that itself). The keys of such
    an `inner`, a loss's estimator say, are taken over.

    Errors: `UsageError`, one sentence, for a missing key, a shape without agent axis, a flattened rollout, an
    influence for another number of agents.
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
        mask: NestedKey = ("agents", "mask")

    default_keys = _AcceptedKeys
    graph: Tensor | None

    def __init__(
        self,
        inner: ValueEstimatorBase,
        critic: TensorDictModuleBase | None = None,
        influence: Tensor | None = None,
        *,
        group: str | Sequence[str] = "agents",
        discretise: Discretise | None = None,
        orientation: str = "influence",
        diagonal: bool = True,
        normalize: str = "agent",
        generator: torch.Generator | None = None,
        shifted: bool = False,
        device: torch.device | None = None,
    ):
        require_choice("orientation", orientation, ("influence", "attention"))
        require_choice("normalize", normalize, ("agent", "global", "none"))
        require(
            isinstance(inner, ValueEstimatorBase),
            f"inner must be a TorchRL value estimator, found {inner!r:.80}",
        )
        require(
            discretise is None or (callable(discretise) and not isinstance(discretise, type)),
            f"discretise must be a part such as Bernoulli() or Threshold(0.5), found {discretise!r:.60}",
        )
        require_critic(critic)
        require_graph(influence)
        super().__init__(
            value_network=critic if critic is not None else inner.value_network, device=device
        )
        self.inner = inner
        self.__dict__["critic"] = critic  # not a submodule: the loss owns the networks
        self.register_buffer(
            "graph", influence, persistent=False
        )  # part of the configuration, not of what is learned
        self.discretise: Discretise = discretise or Threshold()
        self.orientation, self.diagonal, self.normalize = orientation, diagonal, normalize
        self.generator, self.contiguous = generator, shifted
        self.groups = (group,) if isinstance(group, str) else tuple(group)
        require(bool(self.groups), "group is empty; give the name of a group of agents, or several")
        self.set_keys(**self._first_keys())

    def _first_keys(self) -> dict[str, NestedKey]:
        """Those of the groups; over them what an estimator with a network has been given; the value key it writes."""
        keys = {
            k: of_group(v, "agents", self.groups[0]) for k, v in asdict(self.default_keys()).items()
        }
        if len(self.groups) > 1:
            return keys | {k: k for k in ("influence_weight", "influence")}
        if self.inner.value_network is not None:
            usual = {
                *asdict(self.inner.default_keys()).items(),
                ("advantage", keys["individual_advantage"]),
            }
            keys |= {
                k: v
                for k, v in asdict(self.inner.tensor_keys).items()
                if k in keys and (k, v) not in usual
            }
        written = getattr(self.value_network, "out_keys", [])
        if written and unravel_key(keys["value"]) not in written:
            keys["value"] = written[0]
        return keys

    def set_keys(self, **kwargs: NestedKey) -> None:
        """Other names for what is read and written; those of `inner` follow."""
        try:
            super().set_keys(**kwargs)
        except KeyError as error:
            raise UsageError(f"ILVFAdvantage: {error.args[0]}") from error
        self._set_inner_keys(self.groups[0])

    def _set_inner_keys(self, group: str) -> None:
        shared = set(asdict(self.inner.tensor_keys)) & {*SIGNALS, *_PASSED_ON}
        own = self._key("individual_advantage", group)
        self.inner.set_keys(**{k: unravel_key(self._key(k, group)) for k in shared}, advantage=own)

    def _key(self, name: str, group: str) -> NestedKey:
        return of_group(getattr(self.tensor_keys, name), self.groups[0], group)

    # ------------------------------------------------------------------ a rollout
    @dispatch
    def forward(
        self,
        tensordict: TensorDictBase,
        *,
        params: TensorDictBase | None = None,
        target_params: TensorDictBase | None = None,
        time_dim: int | None = None,
        redraw: bool = True,
    ) -> TensorDictBase:
        """Write the local advantage, and all it is made of, into the rollout `[*B, T]`.

        Ŵ is drawn afresh at every call. `redraw=False` keeps the one that this rollout has from an earlier call: one
        draw per rollout, however often its advantages are computed again.
        """
        time = self._time(tensordict, time_dim)
        self._value(tensordict, time)
        for group in self.groups:
            self._individual(tensordict, group, time, params=params, target_params=target_params)
        if self.graph is None and self.critic is None:
            self._weigh(tensordict, params)
        return self.mix(tensordict, redraw=redraw)

    def mix(self, tensordict: TensorDictBase, *, redraw: bool = True) -> TensorDictBase:
        """Draw Ŵ and write the local advantages, from individual advantages that are there already.

        For a fresh draw in every epoch; time plays no part in it, so flat batches will do.
        """
        keys = [self._key("individual_advantage", g) for g in self.groups]
        parts = [per_agent(tensordict, k) for k in keys]
        sizes = [p.shape[-2] for p in parts]
        living = all_alive(tensordict, [self._key("mask", g) for g in self.groups], sizes)
        own = parts[0] if len(parts) == 1 else torch.cat(parts, -2)
        own = own if living is None else own.masked_fill(~living, 0)
        influence = self._influence(tensordict, own, redraw)
        advantage = local_advantage(influence, own)
        if self.normalize != "none":
            advantage = standardise(advantage, per_agent=self.normalize == "agent", mask=living)
        advantage = advantage if living is None else advantage.masked_fill(~living, 0)
        tensordict.set(self.tensor_keys.influence, influence)
        for group, part in zip(self.groups, advantage.split(sizes, -2), strict=True):
            tensordict.set(self._key("advantage", group), part)
        return tensordict

    def value_estimate(self, tensordict: TensorDictBase, **kwargs: Any) -> Tensor:
        """The value target of `inner`, without mixing; of the first group, if there are several."""
        self._value(tensordict, self._time(tensordict, None))
        self._set_inner_keys(self.groups[0])
        return self.inner.value_estimate(self._broadcast(tensordict, self.groups[0]), **kwargs)

    # ------------------------------------------------------------------ steps
    def _time(self, tensordict: TensorDictBase, given: int | None) -> int:
        own = getattr(self.inner, "time_dim", None)
        time = time_axis(tensordict, own if given is None else given)
        require(
            own is None or own % tensordict.ndim == time,
            f"time_dim={given}, but inner was built with time_dim={own}; give it to one of them",
        )
        return time

    def _value(self, tensordict: TensorDictBase, time: int) -> None:
        """Write V, and V of the next states, for all groups."""
        if self.critic is not None:
            keys = [self._key("value", g) for g in self.groups]
            write_values(
                self.critic,
                tensordict,
                keys,
                time,
                self.tensor_keys.done if self.contiguous else None,
            )
            for group in self.groups:
                bury(tensordict, self._key("value", group), self._key("mask", group))
                bury(tensordict.get("next"), self._key("value", group), self._key("mask", group))

    def _individual(
        self, tensordict: TensorDictBase, group: str, time: int, **options: Any
    ) -> None:
        """Write A_j and the value target of every agent of a group, by `inner`."""
        self._set_inner_keys(
            group
        )  # each time: an estimator may serve several groups, or two of these
        work = self._broadcast(tensordict, group)
        work.names = [
            "time" if k == time else None for k in range(work.ndim)
        ]  # what every estimator understands
        self.inner(work, **options)
        written = [self._key(k, group) for k in ("individual_advantage", "value_target", "value")]
        following = ("next", *key_tuple(written[-1]))
        for key in (*written, following, "shifted_valid"):
            value = work.get(key, None)
            if value is not None:
                tensordict.set(key, value)
        per_agent(tensordict, written[0])

    def _broadcast(self, tensordict: TensorDictBase, group: str) -> TensorDictBase:
        """A shallow copy in which reward and done of the whole team have an agent axis."""
        work, value = tensordict.copy(), self._key("value", group)
        signals = {k: ("next", *key_tuple(self._key(k, group))) for k in SIGNALS}
        owner = self.inner.value_network is not None
        if owner and isinstance(
            self.inner, MultiAgentGAE
        ):  # expands them itself, once it has its values
            return work
        hint = [value, signals["reward"]]
        n = (
            number_of_agents(tensordict, group, hint)
            if owner
            else per_agent(tensordict, value).shape[-2]
        )
        return work.update({key: to_agents(tensordict, key, n) for key in signals.values()})

    @torch.no_grad()
    def _weigh(self, tensordict: TensorDictBase, params: TensorDictBase | None) -> None:
        """Write the influence weight by one more pass of the network that has it (`inner` keeps only its values)."""
        network, key = self.inner.value_network, self.tensor_keys.influence_weight
        if network is None or unravel_key(key) not in network.out_keys:
            return
        own = params.to_module(network) if params is not None else contextlib.nullcontext()
        with own:
            tensordict.set(key, network(tensordict.select(*network.in_keys)).get(key))

    @torch.no_grad()
    def _influence(self, tensordict: TensorDictBase, advantage: Tensor, redraw: bool) -> Tensor:
        """Ŵ `[*B, T, N, N]` (a fixed graph is expanded, not copied)."""
        n, shape = advantage.shape[-2], (*advantage.shape[:-1], advantage.shape[-2])
        if self.graph is not None:
            require(
                self.graph.shape[0] == n,
                f"influence is for {self.graph.shape[0]} agents, the advantage has {n}",
            )
            return self.graph.to(advantage).expand(shape)
        if not redraw:
            key = self.tensor_keys.influence
            return self._of_shape(
                need(tensordict, key, "It is there after a call with redraw=True"), key, shape
            )
        key = self.tensor_keys.influence_weight
        weight = self._of_shape(need(tensordict, key, WEIGHTS), key, shape)
        low, high = weight.aminmax()
        require(
            bool((low >= 0) & (high <= 1)),
            f"{key} is in [{low:.3g}, {high:.3g}], need [0, 1]: weights, not logits",
        )
        return self.draw(weight).to(advantage.dtype)

    def draw(self, weight: Tensor) -> Tensor:
        """Ŵ from weights `[*B, N, N]`: turned into the orientation, discretised, with its diagonal."""
        weight = weight.transpose(-1, -2) if self.orientation == "attention" else weight
        influence = self.discretise(weight, self.generator)
        return force_diagonal(influence) if self.diagonal else influence

    @staticmethod
    def _of_shape(value: Tensor, key: NestedKey, shape: tuple[int, ...]) -> Tensor:
        found = tuple(value.shape)
        require(
            found == shape,
            f"{key} has shape {found}, need {shape}: [*B, T, N, N], row = acting agent",
        )
        return value
