"""`ILVFAdvantage`: any per-agent advantage estimator, mixed by who influences whom."""

import contextlib
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase, dispatch
from tensordict.utils import NestedKey, unravel_key
from torch import Tensor, nn
from torchrl.objectives.value import MultiAgentGAE, ValueEstimatorBase

from ilvf.credit.functional import local_advantage, standardise
from ilvf.credit.learned import as_source
from ilvf.credit.signals import (
    alive_in_groups,
    key_tuple,
    need,
    number_of_agents,
    of_group,
    per_agent,
    require_critic,
    require_group,
    time_axis,
    to_agents,
    write_values,
    zero_dead_values,
)
from ilvf.credit.sources import AgentSignals, InfluenceSource, require_influence
from ilvf.credit.sparse import SparseInfluence
from ilvf.credit.weights import require_pairs
from ilvf.errors import UsageError, require, require_choice
from ilvf.modules.checks import require_tensordict, require_truth
from ilvf.modules.groups import group_names
from ilvf.options.arguments import require_device, require_flags, require_kind

SIGNALS = ("reward", "done", "terminated")
ESTIMATOR = "a TorchRL value estimator, such as MultiAgentGAE(...)"
PAIRS = ("influence_weight", "influence", "link_evidence")  # of all groups' agents
NETWORK = "value_network"  # name of the critic, or of the network of `inner`, among the submodules
INNER_KEYS = (*SIGNALS, "value", "value_target", "steps_to_next_obs", "sample_log_prob")


class ILVFAdvantage(ValueEstimatorBase):
    """Influence-based local advantages as a TorchRL value estimator:  Â_i = Σ_j Ŵ_ij A_j  (eq. 10).

    `inner` estimates every agent's own advantage A_j; the influence Ŵ decides whose advantages each
    agent is credited with. A transform of a rollout `[*B, T]`: call it, put it in a
    `TensorDictSequential`, make it a collector's `postproc` or a replay buffer's transform, or give
    it to a loss by `loss.make_value_estimator(...)` (then call `loss.set_keys(...)`, which TorchRL
    passes on). It does not use the actor: discrete, continuous and recurrent actors all work.

    Args:
        inner: any value estimator (`GAE`, `MultiAgentGAE`, `TD0Estimator`, `TD1Estimator`,
            `TDLambdaEstimator`, `VTrace`, ...). With `value_network=None` it reads the values that
            `critic` writes. With a network and no `critic`, that network is run once more for the
            influence weight, if it writes one.
        critic: TensorDictModule that writes the value and, for a learned influence, the influence
            weight; run once on the states and once on the next states. It may read the hidden
            states of a rollout, as the recurrent critics of this library do, and must not write
            them: give a recurrent critic of TorchRL to `MultiAgentGAE(value_network=critic,
            shifted=True)`. None if the tensordict already has both.
        influence: where Ŵ comes from: an `InfluenceSource`, or a tensor `[N, N]`, a fixed graph
            whose row is the acting agent (ones: MAPPO, identity: IPPO-C, `env.influence_graph`), or
            None to use the influence weights in the tensordict.
        group: the group of agents, or several groups that share one influence matrix over all
            their agents, in this order. With several groups each has its own keys,
            `(group, "advantage")`, and the weights are at the root, `"influence_weight"`.
        normalize: `agent`, `global` or `none`: standardise the local advantage over the rollout,
            per agent or over all agents.
        shifted: take V(s_{t+1}) from the state of step t + 1 and evaluate next states only where an
            episode or the rollout ends. Half the work, for rollouts whose steps are consecutive.
        device: of the estimator's constants.
        **learned: options of `LearnedInfluence`, for `influence=None`: `discretise`, `orientation`,
            `diagonal`, `generator`.

    Keys (`set_keys`): `advantage` (local), `individual_advantage`, `value_target`, `value`,
    `reward`, `done`, `terminated`, `influence_weight` (read), `influence` (written),
    `link_evidence` (written, see `SupervisedInfluence`), `mask`. Of a `SparseInfluence` its weights
    `[*B, T, N, K]` are written. A reward or done of the whole
    team, `[*B, T, 1]`, is broadcast to the agents. Where there is a `mask` `[*B, T, N]`, dead
    agents (False) neither receive nor give credit, and do not count in the normalisation; where the
    next state has a mask, values are 0 after an agent's death. Where it has `bootstrap` `[*B, T,
    N]`, that decides instead whose next value counts: also that of an agent whose own clock ends
    before the others' (an `inner` with its own network must handle both itself). The keys of such
    an `inner` are adopted.

    The critic, or the network of `inner`, is the submodule `value_network`: it is in `state_dict()`
    and `parameters()`, and `to` moves it. A TorchRL loss that is built on the same network counts
    its parameters once. Compiled code (`torch.compile`) does not check the range of weights.

    Raises:
        UsageError: a missing key, a shape without agent axis, a flattened rollout, an influence for
            another number of agents.
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
        link_evidence: NestedKey = ("agents", "link_evidence")
        mask: NestedKey = ("agents", "mask")
        bootstrap: NestedKey = ("agents", "bootstrap")

    default_keys = _AcceptedKeys

    def __init__(
        self,
        inner: ValueEstimatorBase,
        critic: TensorDictModuleBase | None = None,
        influence: Tensor | InfluenceSource | None = None,
        *,
        group: str | Sequence[str] = "agents",
        normalize: str = "agent",
        shifted: bool = False,
        device: torch.device | None = None,
        **learned: Any,
    ):
        require_choice("normalize", normalize, ("agent", "global", "none"))
        require_kind("ILVFAdvantage", "inner", inner, ValueEstimatorBase, ESTIMATOR)
        require_critic(critic)
        require_flags("ILVFAdvantage", shifted=shifted)
        if device is not None:
            require_device("ILVFAdvantage", device)
        source = as_source(influence, learned)
        network = critic if critic is not None else inner.value_network
        super().__init__(value_network=network, device=device)
        self.inner = inner
        self.source = source
        self._hold(network)
        self.__dict__["critic"] = critic  # held as value_network
        self.normalize = normalize
        self.shifted_values = shifted
        self.groups = group_names(group)
        self.set_keys(**self._initial_keys())

    critic: TensorDictModuleBase | None

    # ------------------------------------------------------------------ networks
    def _hold(self, network: Any) -> None:
        """Make the network a submodule, which TorchRL's base class does not.

        A loss that is built on the same network counts its parameters once.
        """
        if isinstance(network, nn.Module):
            del self.__dict__["value_network"]
            self.value_network = network

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        """Accept the state of a loss that was saved when estimators did not hold their networks."""
        held = f"{prefix}{NETWORK}."
        network = self._modules.get(NETWORK)
        if prefix and network is not None and not any(key.startswith(held) for key in state_dict):
            warnings.warn(
                f"the state of {prefix.rstrip('.')} has no {NETWORK}, because an older version "
                "saved it; the network keeps the parameters that the loss has loaded",
                stacklevel=2,
            )
            state_dict.update(network.state_dict(prefix=held))
        super()._load_from_state_dict(state_dict, prefix, *others)

    # ------------------------------------------------------------------ keys
    def _initial_keys(self) -> dict[str, NestedKey]:
        """Default keys of the groups, overridden by those of an inner estimator with a network."""
        defaults = asdict(self.default_keys())
        keys = {name: of_group(key, "agents", self.groups[0]) for name, key in defaults.items()}
        if len(self.groups) > 1:
            return keys | {name: name for name in PAIRS}
        if self.inner.value_network is not None:
            keys |= self._keys_set_on_inner(keys)
        written = getattr(self.value_network, "out_keys", [])
        if written and unravel_key(keys["value"]) not in written:
            keys["value"] = written[0]
        return keys

    def _keys_set_on_inner(self, keys: dict[str, NestedKey]) -> dict[str, NestedKey]:
        """The keys of `inner` that differ from its defaults."""
        defaults = asdict(self.inner.default_keys())
        changed = {}
        for name, key in asdict(self.inner.tensor_keys).items():
            ours = name == "advantage" and key == keys["individual_advantage"]
            if name in keys and key != defaults.get(name) and not ours:
                changed[name] = key
        return changed

    def set_keys(self, **kwargs: NestedKey) -> None:
        """Rename what is read and written; the keys of `inner` follow."""
        try:
            super().set_keys(**kwargs)
        except KeyError as error:
            raise UsageError(f"ILVFAdvantage: {error.args[0]}") from error
        self._set_inner_keys(self.groups[0])

    def _set_inner_keys(self, group: str) -> None:
        shared = set(asdict(self.inner.tensor_keys)) & set(INNER_KEYS)
        keys = {name: unravel_key(self._key(name, group)) for name in shared}
        self.inner.set_keys(**keys, advantage=self._key("individual_advantage", group))

    def _key(self, name: str, group: str) -> NestedKey:
        return of_group(getattr(self.tensor_keys, name), self.groups[0], group)

    @property
    def mixing_keys(self) -> list[NestedKey]:
        """What `mix` reads: kept with a batch whose Ŵ is drawn again."""
        return [self.tensor_keys.individual_advantage, self.tensor_keys.influence_weight]

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
        """Write the local advantage, and what it is computed from, into the rollout `[*B, T]`.

        Ŵ is drawn at every call. `redraw=False` keeps the Ŵ of an earlier call: one draw per
        rollout, however often its advantages are recomputed.
        """
        require_tensordict(tensordict)
        for group in self.groups:
            require_group(tensordict, group, self._key("reward", group))
        self.source.prepare(tensordict)
        time = self._time(tensordict, time_dim)
        self._write_values(tensordict, time)
        for group in self.groups:
            self._estimate(tensordict, group, time, params=params, target_params=target_params)
        if self.source.reads_weights and self.critic is None:
            self._write_weights(tensordict, params)
        if self.source.observes and redraw:
            self._observe(tensordict, time)
        return self.mix(tensordict, redraw=redraw)

    def mix(self, tensordict: TensorDictBase, *, redraw: bool = True) -> TensorDictBase:
        """Draw Ŵ and write local advantages, from individual advantages in the tensordict.

        For a new draw in every epoch. Time plays no part, so flat batches are accepted.
        """
        individual, living, sizes = self._individual(tensordict)
        influence = self._influence(tensordict, individual, redraw)
        advantage = local_advantage(influence, individual)
        if self.normalize != "none":
            per = self.normalize == "agent"
            advantage = standardise(advantage, per_agent=per, mask=living)
        if living is not None:
            advantage = advantage.masked_fill(~living, 0)
        kept = influence.kept(individual) if isinstance(influence, SparseInfluence) else influence
        tensordict.set(self.tensor_keys.influence, kept)
        for group, part in zip(self.groups, advantage.split(sizes, -2), strict=True):
            tensordict.set(self._key("advantage", group), part)
        return tensordict

    def value_estimate(self, tensordict: TensorDictBase, **kwargs: Any) -> Tensor:
        """The value target of `inner`, without mixing; of the first group, if there are several."""
        self._write_values(tensordict, self._time(tensordict, None))
        self._set_inner_keys(self.groups[0])
        return self.inner.value_estimate(self._broadcast(tensordict, self.groups[0]), **kwargs)

    @torch.no_grad()
    def influence_in(self, states: TensorDictBase) -> tuple[Tensor, Tensor] | None:
        """(w, Ŵ) `[*B, N, N]` in these states, row = acting agent; None if nothing is learned."""
        if self.source.reads_weights:
            if self.critic is not None:
                self.critic(states)
            self.source.prepare(states)
        return self.source.in_states(states, self.tensor_keys.influence_weight)

    # ------------------------------------------------------------------ steps
    def _individual(self, tensordict: TensorDictBase) -> tuple[Tensor, Tensor | None, list[int]]:
        """A `[*B, T, N, 1]` of all groups, 0 for the dead; who lives; the groups' sizes."""
        parts = [per_agent(tensordict, self._key("individual_advantage", g)) for g in self.groups]
        sizes = [part.shape[-2] for part in parts]
        masks = [self._key("mask", g) for g in self.groups]
        living = alive_in_groups(tensordict, masks, sizes)
        individual = parts[0] if len(parts) == 1 else torch.cat(parts, -2)
        if living is not None:
            individual = individual.masked_fill(~living, 0)
        return individual, living, sizes

    def _observe(self, tensordict: TensorDictBase, time: int) -> None:
        """Let the source learn from the rollout, and write its evidence."""
        signals = self._agent_signals(tensordict, time)
        self.source.observe(tensordict, signals)
        evidence = self.source.evidence(signals.advantage)
        if evidence is not None:
            tensordict.set(self.tensor_keys.link_evidence, evidence)

    def _agent_signals(self, tensordict: TensorDictBase, time: int) -> AgentSignals:
        """Rewards, ends and advantages of all groups' agents."""
        individual, living, sizes = self._individual(tensordict)
        signals = {}
        for name in ("reward", "done"):
            parts = []
            for group, n in zip(self.groups, sizes, strict=True):
                key = ("next", *key_tuple(self._key(name, group)))
                parts.append(to_agents(tensordict, key, n))
            signals[name] = torch.cat(parts, -2)
        signals["reward"] = signals["reward"].to(individual.dtype)
        return AgentSignals(
            **signals, advantage=individual, alive=living, time=time, sizes=tuple(sizes)
        )

    def _time(self, tensordict: TensorDictBase, given: int | None) -> int:
        configured = getattr(self.inner, "time_dim", None)
        time = time_axis(tensordict, configured if given is None else given)
        require(
            configured is None or configured % tensordict.ndim == time,
            f"time_dim={given}, but inner was built with time_dim={configured}; "
            "give it to one of them",
        )
        return time

    def _write_values(self, tensordict: TensorDictBase, time: int) -> None:
        """Write V, and V of the next states, for all groups."""
        if self.critic is None:
            return
        keys = [self._key("value", group) for group in self.groups]
        done = self.tensor_keys.done if self.shifted_values else None
        write_values(self.critic, tensordict, keys, time, done)
        for group in self.groups:
            value = self._key("value", group)
            mask = self._key("mask", group)
            zero_dead_values(tensordict, value, mask)
            following = tensordict.get("next")
            bootstrap = self._key("bootstrap", group)
            counts = bootstrap if following.get(bootstrap, None) is not None else mask
            zero_dead_values(following, value, counts)

    def _estimate(self, tensordict: TensorDictBase, group: str, time: int, **options: Any) -> None:
        """Write A_j and the value target of every agent of a group, by `inner`."""
        self._set_inner_keys(group)  # every time: groups may share one estimator
        work = self._broadcast(tensordict, group)
        work.names = ["time" if k == time else None for k in range(work.ndim)]
        self.inner(work, **options)
        names = ("individual_advantage", "value_target", "value")
        written = [self._key(name, group) for name in names]
        next_value = ("next", *key_tuple(written[-1]))
        for key in (*written, next_value, "shifted_valid"):
            value = work.get(key, None)
            if value is not None:
                tensordict.set(key, value)
        per_agent(tensordict, written[0])

    def _broadcast(self, tensordict: TensorDictBase, group: str) -> TensorDictBase:
        """A shallow copy in which reward and done of the whole team have an agent axis."""
        work = tensordict.copy()
        for name in ("done", "terminated"):
            key = ("next", *key_tuple(self._key(name, group)))
            end = tensordict.get(key, None)
            if end is not None:
                require_truth(str(key), end)
        has_network = self.inner.value_network is not None
        if has_network and isinstance(self.inner, MultiAgentGAE):  # it expands them itself
            return work
        value = self._key("value", group)
        signals = {name: ("next", *key_tuple(self._key(name, group))) for name in SIGNALS}
        if has_network:
            n = number_of_agents(tensordict, group, [value, signals["reward"]])
        else:
            n = per_agent(tensordict, value).shape[-2]
        return work.update({key: to_agents(tensordict, key, n) for key in signals.values()})

    @torch.no_grad()
    def _write_weights(self, tensordict: TensorDictBase, params: TensorDictBase | None) -> None:
        """Run the network of `inner` once more for its influence weight."""
        network = self.inner.value_network
        key = self.tensor_keys.influence_weight
        if network is None or unravel_key(key) not in network.out_keys:
            return
        with_params = contextlib.nullcontext() if params is None else params.to_module(network)
        with with_params:
            tensordict.set(key, network(tensordict.select(*network.in_keys)).get(key))

    def _influence(
        self, tensordict: TensorDictBase, individual: Tensor, redraw: bool
    ) -> Tensor | SparseInfluence:
        """Ŵ `[*B, T, N, N]`, drawn or, with `redraw=False`, from the tensordict."""
        keys = self.tensor_keys
        if redraw or not self.source.reads_weights:
            influence = self.source.influence(tensordict, keys.influence_weight, individual)
            if not self.source.checked:
                require_influence(self.source, influence, individual)
            return influence
        value = need(tensordict, keys.influence, "It is there after a call with redraw=True")
        influence = self.source.drawn(value)
        if isinstance(influence, Tensor):
            require_pairs(influence, keys.influence, individual)
        return influence
