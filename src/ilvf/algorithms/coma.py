"""COMA: credit by asking what would have happened otherwise (Foerster et al., 2018)."""

from typing import Any

from ilvf.algorithms.on_policy import EnvFactory, OnPolicy
from ilvf.credit.estimators import CounterfactualAdvantage
from ilvf.losses import ILVFLoss
from ilvf.modules import CategoricalActor, CounterfactualCritic, ValueNorm


class COMA(OnPolicy):
    """Â_i = Q_i(s, a) − Σ_b π_i(b | o_i) Q_i(s, b, a_−i), Q_i of the team's reward.

    Of the paper, with two differences that put it on the same footing as the others here: PPO's clipped surrogate
    instead of one plain gradient step per batch, and every agent's head is a network of its own.

    Args:
        lmbda: of the λ-return that Q regresses; 0.8 is that of COMA's paper. On Encircle 0.95 learns more, on
            small games less (tests/test_learns.py).
        loss: keyword arguments of `ILVFLoss`; `value_clip` is None here, since clipping Q as MAPPO clips V was measured
            to make large teams unlearn (docs/results/encircle.md).
        the rest: see `MAPPO`.
    """

    def __init__(
        self,
        make_env: EnvFactory,
        actor: CategoricalActor,
        critic: CounterfactualCritic,
        *,
        normalize: str = "agent",
        gamma: float = 0.99,
        lmbda: float = 0.8,
        value_norm: bool = True,
        min_variance: float = 1e-6,
        state_key: str = "state",
        loss: dict[str, Any] | None = None,
        **options: Any,
    ):
        n = actor.arguments["n_agents"]
        norm = ValueNorm((n, 1), min_variance=min_variance) if value_norm else None
        objective = ILVFLoss(actor, critic, norm, **{"value_clip": None, **(loss or {})})
        objective.set_keys(state=("agents", state_key))
        credit: dict[str, Any] = dict(
            gamma=gamma, lmbda=lmbda, normalize=normalize, state_key=state_key
        )
        advantage: Any = CounterfactualAdvantage(actor, critic, norm, **credit)
        super().__init__(make_env, objective, advantage, **options)
