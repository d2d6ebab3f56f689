"""ILVF-P: PPO whose advantages are mixed by a learned, state-dependent influence (paper, Sec. 4)."""

from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModule
from torch import Tensor

from ilvf.algorithms.on_policy import EnvFactory, OnPolicy
from ilvf.analysis import auroc, density
from ilvf.credit.advantage import Discretise
from ilvf.credit.estimators import gae, local_estimator
from ilvf.distributed import mean_over_ranks
from ilvf.errors import require_choice
from ilvf.losses import ILVFLoss
from ilvf.modules import (
    ActionInfluenceCritic,
    CategoricalActor,
    InfluenceCritic,
    RelevanceCritic,
    StateCritic,
    ValueNorm,
)


class ILVFP(OnPolicy):
    """ILVF-P from its parts.

    With an `InfluenceCritic` and `influence=None` the influence is learned. With a `StateCritic` and a fixed graph it
    is one of the ends of the family: ones is MAPPO (summed advantage), identity is IPPO-C, a known graph the oracle.

    Args:
        make_env, actor, critic: ready-made. With an `ActionInfluenceCritic` it is ILVF-P (no inferring).
        weigh: module that writes the influence weights, for a critic that does not write them with its values:
            `RelevanceCritic.relevance_module()` makes it PRD (Freed et al., 2021; Kapoor et al., 2024).
        influence: fixed Ŵ `[N, N]`, row = acting agent; None to learn it.
        discretise, orientation, diagonal, normalize: see `ILVFAdvantage`.
        draw: sample Ŵ once per `rollout`, or afresh in every `epoch`.
        gamma, lmbda: of GAE.
        target: what V and Q regress: `lambda`, the λ-return A_i + V_i (official MAPPO), or `mc`, eq. 9's discounted
            return (bootstrapped where the rollout cuts an episode).
        value_norm, min_variance: normalise the value targets per agent, with this floor of their variance.
        state_key: what critics read, `state`, or `observation` for an environment without states.
        loss: keyword arguments of `ILVFLoss`.
        **options: of `OnPolicy`.
    """

    returns: Any
    weigh: Any

    def __init__(
        self,
        make_env: EnvFactory,
        actor: CategoricalActor,
        critic: InfluenceCritic | ActionInfluenceCritic | RelevanceCritic | StateCritic,
        *,
        weigh: TensorDictModule | None = None,
        influence: Tensor | None = None,
        discretise: Discretise | None = None,
        orientation: str = "influence",
        diagonal: bool = True,
        normalize: str = "agent",
        draw: str = "rollout",
        gamma: float = 0.99,
        lmbda: float = 0.95,
        target: str = "lambda",
        value_norm: bool = True,
        min_variance: float = 1e-6,
        state_key: str = "state",
        loss: dict[str, Any] | None = None,
        **options: Any,
    ):
        n = actor.arguments["n_agents"]
        norm = ValueNorm((n, 1), min_variance=min_variance) if value_norm else None
        advantage = local_estimator(
            critic,
            norm,
            influence,
            gamma=gamma,
            lmbda=lmbda,
            state_key=state_key,
            discretise=discretise,
            orientation=orientation,
            diagonal=diagonal,
            normalize=normalize,
        )
        require_choice("target", target, ("lambda", "mc"))
        require_choice("draw", draw, ("rollout", "epoch"))
        objective = ILVFLoss(actor, critic, norm, **(loss or {}))
        objective.set_keys(state=("agents", state_key))
        super().__init__(make_env, objective, advantage, **options)
        self.draws_per_epoch = draw == "epoch" and influence is None
        self.__dict__["returns"] = gae(gamma, 1.0) if target == "mc" else None
        self.__dict__["weigh"] = weigh  # no submodule: the loss owns the critic
        self.attention: Tensor | None = (
            None  # w averaged over the last rollout's states, row = critic
        )

    def estimate(self, rollout: TensorDictBase) -> None:
        if self.weigh is not None:
            with torch.no_grad():
                self.weigh(rollout)
        super().estimate(rollout)
        if self.returns is not None:  # A(λ=1) + V is the discounted return
            keys = self.advantage.tensor_keys
            self.returns.set_keys(
                value=keys.value, reward=keys.reward, value_target=keys.value_target
            )
            rollout[keys.value_target] = self.returns(rollout.copy())[keys.value_target]

    @torch.no_grad()
    def influence_in(self, states: TensorDictBase) -> tuple[Tensor, Tensor] | None:
        if self.advantage.graph is not None:
            return None
        writer = self.weigh if self.weigh is not None else self.advantage.critic
        weight = writer(states)[self.advantage.tensor_keys.influence_weight]
        influence = self.advantage.draw(weight)
        return weight.mT if self.advantage.orientation == "attention" else weight, influence

    @property
    def kept_keys(self) -> list[Any]:
        keys = self.advantage.tensor_keys
        return super().kept_keys + (
            [keys.individual_advantage, keys.influence_weight] if self.draws_per_epoch else []
        )

    def renew(self, batch: TensorDictBase) -> None:
        if self.draws_per_epoch:
            self.advantage.mix(batch)

    def measure(self, rollout: TensorDictBase) -> dict[str, Tensor]:
        """Adds the density of Ŵ and, where the environment knows the truth, how well the attention finds it."""
        keys, measures = self.advantage.tensor_keys, super().measure(rollout)
        measures["influence/density"] = density(rollout[keys.influence])
        if keys.influence_weight not in rollout.keys(True):
            return measures
        self.attention = mean_over_ranks(rollout[keys.influence_weight].flatten(0, -3).mean(0).T)
        measures["attention/mean"] = self.attention.mean()
        for name, graph in (("reward", "reward_graph"), ("full", "value_graph")):
            if hasattr(self.env, graph):
                measures[f"attention/auroc_{name}"] = auroc(
                    self.attention, getattr(self.env, graph)
                )
        return measures
