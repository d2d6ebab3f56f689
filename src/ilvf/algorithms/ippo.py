"""IPPO and IPPO-C: every agent learns from its own return alone (de Witt et al., 2020)."""

from typing import Any

import torch
from torchrl.envs import EnvBase

from ilvf.algorithms.base import EnvFactory
from ilvf.algorithms.on_policy import OnPolicy
from ilvf.algorithms.options import IPPOConfig, SharingOptions
from ilvf.algorithms.parts import (
    influence_critic,
    ppo_loss,
    state_neighbours,
    stochastic_actor,
    value_options,
)
from ilvf.credit import FixedInfluence
from ilvf.credit.estimators import gae, local_estimator
from ilvf.modules import InfluenceCritic, LocalCritic, StateCritic
from ilvf.modules.actors.network import StochasticActor
from ilvf.options import configure, select


class IPPO(OnPolicy):
    """Â_i = A_i.

        LocalCritic:      V_i(o_i)   IPPO
        StateCritic:      V_i(s)     IPPO-C, the paper's baseline: the Ŵ = I end of ILVF
        InfluenceCritic:  V_i(s)     the same, with the values of ILVF-P's critic

    Args:
        make_env: builds the environment, called with `num_envs`, `seed` and `device`.
        actor, critic: networks.
        state_key: what the critic reads; None is `observation` or `state`, by the critic's class.
        seed: of the environments and of all other random numbers.
        **options: fields of `SharingOptions`.
    """

    def __init__(
        self,
        make_env: EnvFactory,
        actor: StochasticActor,
        critic: LocalCritic | StateCritic | InfluenceCritic,
        *,
        state_key: str | None = None,
        seed: int = 0,
        **options: Any,
    ):
        given = configure(SharingOptions, options, "IPPO")
        n = actor.arguments["n_agents"]
        default = "observation" if isinstance(critic, LocalCritic) else "state"
        key = state_key or default
        loss = ppo_loss(actor, critic, given, key, values=n)
        sparse = not isinstance(critic, LocalCritic) and not critic.sees_all
        advantage = local_estimator(
            critic,
            loss.value_norm,
            FixedInfluence(torch.eye(n), sparse=sparse),
            inner=gae(given.gamma, given.lmbda),
            normalize=given.normalize,
            state_key=key,
        )
        super().__init__(make_env, loss, advantage, given, seed=seed)


def build(config: IPPOConfig, make_env: EnvFactory, env: EnvBase, seed: int) -> IPPO:
    """IPPO or IPPO-C as a config describes it."""
    actor = stochastic_actor(config, env)
    critic: LocalCritic | StateCritic | InfluenceCritic
    if config.critic == "observation":
        networks = value_options(config, env, "observation")
        critic = LocalCritic(env.n_agents, env.observation_dim, **networks)
    elif config.critic == "influence":
        critic = influence_critic(config, env, actor)
    else:
        critic = StateCritic(
            env.n_agents,
            env.state_dim,
            **state_neighbours(config, env),
            **value_options(config, env),
        )
    return IPPO(make_env, actor, critic, seed=seed, **select(config, SharingOptions))
