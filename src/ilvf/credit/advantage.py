"""`ILVFAdvantage`: any per-agent advantage estimator, mixed by who influences whom."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase, dispatch
from tensordict.utils import NestedKey, unravel_key
from torch import Tensor
from torchrl.objectives.value import ValueEstimatorBase

from ilvf.credit.functional import local_advantage, standardise
from ilvf.credit.individual import IndividualAdvantages
from ilvf.credit.learned import as_source
from ilvf.credit.signals import earned, key_tuple, need, to_agents
from ilvf.credit.sources import AgentSignals, InfluenceSource, require_influence
from ilvf.credit.sparse import SparseInfluence
from ilvf.credit.weights import require_pairs
from ilvf.errors import require_choice
from ilvf.modules.checks import require_tensordict

PAIRS = ("influence_weight", "influence", "link_evidence")  # of all groups' agents


class ILVFAdvantage(IndividualAdvantages):
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
    its parameters once. Compiled code (`torch.compile`) checks neither the range of weights nor
    that rewards and values are finite.

    Raises:
        UsageError: a missing key, a shape without agent axis, a flattened or empty rollout, an
            influence for another number of agents, rewards or values that are not finite.
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
        mask: NestedKey = ("agents", "mask")
        bootstrap: NestedKey = ("agents", "bootstrap")
        influence_weight: NestedKey = ("agents", "influence_weight")
        influence: NestedKey = ("agents", "influence")
        link_evidence: NestedKey = ("agents", "link_evidence")

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
        source = as_source(influence, learned)
        super().__init__(inner, critic, group=group, shifted=shifted, device=device)
        self.source = source
        self.normalize = normalize

    def initial_keys(self) -> dict[str, NestedKey]:
        keys = super().initial_keys()
        return keys if len(self.groups) == 1 else keys | {name: name for name in PAIRS}

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

        Ŵ is drawn at every call. `redraw=False` keeps the Ŵ of an earlier call, which the rollout
        has: one draw per rollout, however often its advantages are recomputed.
        """
        require_tensordict(tensordict)
        networks = {"params": params, "target_params": target_params}
        time = self.estimate(tensordict, time_dim, **networks)
        self.source.prepare(tensordict)
        if self.source.reads_weights and self.critic is None:
            self._write_weights(tensordict, params)
        if self.source.observes and redraw:
            self._observe(tensordict, time)
        return self.mix(tensordict, redraw=redraw)

    def mix(self, tensordict: TensorDictBase, *, redraw: bool = True) -> TensorDictBase:
        """Draw Ŵ and write local advantages, from individual advantages in the tensordict.

        For a new draw in every epoch. Time plays no part, so flat batches are accepted.
        """
        individual, living, sizes = self.individual(tensordict)
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
            tensordict.set(self.key_of("advantage", group), part)
        return tensordict

    @torch.no_grad()
    def influence_in(self, states: TensorDictBase) -> tuple[Tensor, Tensor] | None:
        """(w, Ŵ) `[*B, N, N]` in these states, row = acting agent; None if nothing is learned."""
        if self.source.reads_weights:
            if self.critic is not None:
                self.critic(states)
            self.source.prepare(states)
        return self.source.in_states(states, self.tensor_keys.influence_weight)

    # ------------------------------------------------------------------ steps
    def _observe(self, tensordict: TensorDictBase, time: int) -> None:
        """Let the source learn from the rollout, and write its evidence."""
        signals = self._agent_signals(tensordict, time)
        self.source.observe(tensordict, signals)
        evidence = self.source.evidence(signals.advantage)
        if evidence is not None:
            tensordict.set(self.tensor_keys.link_evidence, evidence)

    def _agent_signals(self, tensordict: TensorDictBase, time: int) -> AgentSignals:
        """Rewards, ends and advantages of all groups' agents."""
        individual, living, sizes = self.individual(tensordict)
        signals = {}
        for name in ("reward", "done"):
            parts = []
            for group, n in zip(self.groups, sizes, strict=True):
                key = ("next", *key_tuple(self.key_of(name, group)))
                parts.append(to_agents(tensordict, key, n))
            signals[name] = torch.cat(parts, -2)
        signals["reward"] = earned(signals["reward"].to(individual.dtype), living)
        return AgentSignals(
            **signals, advantage=individual, alive=living, time=time, sizes=tuple(sizes)
        )

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
        lacks = tensordict.get(keys.influence, None) is None
        if redraw or (lacks and not self.source.reads_weights):
            influence = self.source.influence(tensordict, keys.influence_weight, individual)
            if not self.source.checked:
                require_influence(self.source, influence, individual)
            return influence
        value = need(tensordict, keys.influence, "It is there after a call with redraw=True")
        influence = self.source.drawn(value)
        if isinstance(influence, Tensor):
            require_pairs(influence, keys.influence, individual)
        return influence
