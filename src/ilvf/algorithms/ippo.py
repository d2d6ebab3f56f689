"""IPPO and IPPO-C: every agent learns from its own return alone (de Witt et al., 2020)."""

from typing import Any

import torch

from ilvf.algorithms.on_policy import EnvFactory, OnPolicy
from ilvf.credit.estimators import local_estimator
from ilvf.losses import ILVFLoss
from ilvf.modules import CategoricalActor, LocalCritic, StateCritic, ValueNorm


class IPPO(OnPolicy):
    """Â_i = A_i.

        LocalCritic:  V_i(o_i)   IPPO
        StateCritic:  V_i(s)     IPPO-C, the paper's baseline: the Ŵ = I end of the ILVF family

    Args: see `MAPPO`. `state_key` is None for the one that the critic is made for: observation or state.
    """

    def __init__(
        self,
        make_env: EnvFactory,
        actor: CategoricalActor,
        critic: LocalCritic | StateCritic,
        *,
        normalize: str = "agent",
        gamma: float = 0.99,
        lmbda: float = 0.95,
        value_norm: bool = True,
        min_variance: float = 1e-6,
        state_key: str | None = None,
        loss: dict[str, Any] | None = None,
        **options: Any,
    ):
        n = actor.arguments["n_agents"]
        norm = ValueNorm((n, 1), min_variance=min_variance) if value_norm else None
        key = state_key or ("observation" if isinstance(critic, LocalCritic) else "state")
        objective = ILVFLoss(actor, critic, norm, **(loss or {}))
        objective.set_keys(state=("agents", key))
        discount: dict[str, Any] = dict(
            gamma=gamma, lmbda=lmbda, normalize=normalize, state_key=key
        )
        super().__init__(
            make_env, objective, local_estimator(critic, norm, torch.eye(n), **discount), **options
        )
