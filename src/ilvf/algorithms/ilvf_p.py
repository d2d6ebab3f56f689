"""ILVF-P: PPO whose advantages are mixed by a learned, state-dependent influence (paper, Sec. 4)."""

from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModule, TensorDictSequential
from torch import Tensor
from torchrl.objectives.value import MultiAgentGAE

from ilvf.algorithms.on_policy import EnvFactory, OnPolicy
from ilvf.analysis import auroc, density
from ilvf.distributed import mean_over_ranks
from ilvf.errors import require, require_choice
from ilvf.losses import ILVFAdvantage, ILVFLoss
from ilvf.losses.advantage import Discretise
from ilvf.modules import CategoricalActor, InfluenceCritic, StateCritic, ValueNorm


class ILVFP(OnPolicy):
    """ILVF-P from its parts.

    With an `InfluenceCritic` and `influence=None` the influence is learned. With a `StateCritic` and a fixed graph it
    is one of the ends of the family: ones is MAPPO (summed advantage), identity is IPPO-C, a known graph the oracle.

    Args:
        make_env, actor, critic: ready-made.
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

    def __init__(
        self,
        make_env: EnvFactory,
        actor: CategoricalActor,
        critic: InfluenceCritic | StateCritic,
        *,
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
        require(0 <= gamma <= 1 and 0 <= lmbda <= 1, f"gamma={gamma} and lmbda={lmbda} must be in [0, 1]")
        n = actor.arguments["n_agents"]
        norm = ValueNorm((n, 1), min_variance=min_variance) if value_norm else None
        advantage = ILVFAdvantage(
            MultiAgentGAE(gamma=gamma, lmbda=lmbda, value_network=None),
            real_scale(critic, norm, state_key),
            influence,
            discretise=discretise,
            orientation=orientation,
            diagonal=diagonal,
            normalize=normalize,
            shifted=True,
        )
        require_choice("target", target, ("lambda", "mc"))
        require_choice("draw", draw, ("rollout", "epoch"))
        objective = ILVFLoss(actor, critic, norm, **(loss or {}))
        objective.set_keys(state=("agents", state_key))
        super().__init__(make_env, objective, advantage, **options)
        self.draws_per_epoch = draw == "epoch" and influence is None
        returns = MultiAgentGAE(gamma=gamma, lmbda=1.0, value_network=None) if target == "mc" else None
        self.__dict__["returns"] = returns
        self.attention: Tensor | None = None  # w averaged over the last rollout's states, row = critic

    def estimate(self, rollout: TensorDictBase) -> None:
        super().estimate(rollout)
        if self.returns is not None:  # A(λ=1) + V is the discounted return
            keys = self.advantage.tensor_keys
            self.returns.set_keys(value=keys.value, reward=keys.reward, value_target=keys.value_target)
            rollout[keys.value_target] = self.returns(rollout.copy())[keys.value_target]

    @property
    def kept_keys(self) -> list[Any]:
        keys = self.advantage.tensor_keys
        return super().kept_keys + ([keys.individual_advantage, keys.influence_weight] if self.draws_per_epoch else [])

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
                measures[f"attention/auroc_{name}"] = auroc(self.attention, getattr(self.env, graph))
        return measures


def real_scale(
    critic: InfluenceCritic | StateCritic, norm: ValueNorm | None, state_key: str = "state"
) -> TensorDictSequential:
    """The critic's value module, its output kept as `normalised_value` and written as `state_value` in reward units."""
    raw, real = ("agents", "normalised_value"), ("agents", "state_value")
    scale = norm.denormalise if norm is not None else torch.clone
    return TensorDictSequential(
        critic.value_module(value_key="normalised_value", state_key=state_key),
        TensorDictModule(scale, in_keys=[raw], out_keys=[real]),
    )
