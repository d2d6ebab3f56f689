"""MAPPO: PPO on what the whole team gets (Yu et al., 2022)."""

from typing import Any

import torch

from ilvf.algorithms.on_policy import EnvFactory, OnPolicy
from ilvf.credit.estimators import TeamAdvantage, local_estimator
from ilvf.losses import ILVFLoss
from ilvf.modules import CategoricalActor, CentralCritic, StateCritic, ValueNorm


class MAPPO(OnPolicy):
    """Every agent is credited with everything.

        StateCritic:    Â_i = Σ_j A_j,  A_j from the value of agent j    the Ŵ = 1 end of the ILVF family
        CentralCritic:  Â_i = A,        A from ONE value of Σ_j r_j      the classical form

    Both estimate the same advantage; the first has N values to learn it from.

    Args:
        make_env, actor, critic: ready-made.
        normalize: standardise the advantage per `agent`, `global` or `none`, once per rollout.
        gamma, lmbda: of GAE.
        value_norm, min_variance: normalise the value targets, with this floor of their variance.
        state_key: what critics see; "observation" for environments without states.
        loss: keyword arguments of `ILVFLoss`.
        **options: of `OnPolicy`.
    """

    def __init__(
        self,
        make_env: EnvFactory,
        actor: CategoricalActor,
        critic: StateCritic | CentralCritic,
        *,
        normalize: str = "agent",
        gamma: float = 0.99,
        lmbda: float = 0.95,
        value_norm: bool = True,
        min_variance: float = 1e-6,
        state_key: str = "state",
        loss: dict[str, Any] | None = None,
        **options: Any,
    ):
        n, central = actor.arguments["n_agents"], isinstance(critic, CentralCritic)
        norm = (
            ValueNorm((1 if central else n, 1), min_variance=min_variance) if value_norm else None
        )
        objective = ILVFLoss(actor, critic, norm, **(loss or {}))
        objective.set_keys(state=("agents", state_key))
        discount: dict[str, Any] = dict(
            gamma=gamma, lmbda=lmbda, normalize=normalize, state_key=state_key
        )
        advantage: Any
        if isinstance(critic, CentralCritic):
            advantage = TeamAdvantage(critic, norm, **discount)
            objective.set_keys(
                value_target="value_target",
                normalised_value="normalised_value",
                value="state_value",
            )
        else:
            advantage = local_estimator(critic, norm, torch.ones(n, n), **discount)
        super().__init__(make_env, objective, advantage, **options)
