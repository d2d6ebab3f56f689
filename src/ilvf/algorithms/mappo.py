"""MAPPO: PPO on what the whole team gets (Yu et al., 2022)."""

from typing import Any

import torch
from torchrl.envs import EnvBase

from ilvf.algorithms.base import EnvFactory
from ilvf.algorithms.on_policy import OnPolicy
from ilvf.algorithms.options import MAPPOConfig, SharingOptions
from ilvf.algorithms.parts import (
    influence_critic,
    ppo_loss,
    state_neighbours,
    stochastic_actor,
    value_options,
)
from ilvf.credit import FixedInfluence
from ilvf.credit.estimators import TeamAdvantage, gae, local_estimator
from ilvf.errors import require
from ilvf.modules import CentralCritic, InfluenceCritic, StateCritic
from ilvf.modules.actors.network import StochasticActor
from ilvf.options import configure, select


class MAPPO(OnPolicy):
    """Every agent is credited with everything.

        StateCritic:      Â_i = Σ_j A_j,  A_j from the value of agent j    the Ŵ = 1 end of ILVF
        InfluenceCritic:  the same, with the values of ILVF-P's critic
        CentralCritic:    Â_i = A,        A from ONE value of Σ_j r_j      the classical form

    All estimate the same advantage; the first two have N values to learn it from.

    Args:
        make_env: builds the environment, called with `num_envs`, `seed` and `device`.
        actor, critic: networks.
        state_key: what critics read: `state`, or `observation` for an environment without states.
        seed: of the environments and of all other random numbers.
        **options: fields of `SharingOptions`.
    """

    def __init__(
        self,
        make_env: EnvFactory,
        actor: StochasticActor,
        critic: StateCritic | InfluenceCritic | CentralCritic,
        *,
        state_key: str = "state",
        seed: int = 0,
        **options: Any,
    ):
        given = configure(SharingOptions, options, "MAPPO")
        n = actor.arguments["n_agents"]
        central = isinstance(critic, CentralCritic)
        loss = ppo_loss(actor, critic, given, state_key, values=1 if central else n)
        credit: dict[str, Any] = {
            "inner": gae(given.gamma, given.lmbda),
            "normalize": given.normalize,
            "state_key": state_key,
        }
        advantage: Any
        if isinstance(critic, CentralCritic):
            require(
                given.reward == "own",
                f"reward={given.reward} shares out the team's reward, and critic=central values "
                "the sum alone; leave one of them out",
            )
            advantage = TeamAdvantage(critic, loss.value_norm, **credit)
            loss.set_keys(
                value_target="value_target",
                normalised_value="normalised_value",
                value="state_value",
            )
        else:
            everything = FixedInfluence(torch.ones(n, n), sparse=not critic.sees_all)
            advantage = local_estimator(critic, loss.value_norm, everything, **credit)
        super().__init__(make_env, loss, advantage, given, seed=seed)


def build(config: MAPPOConfig, make_env: EnvFactory, env: EnvBase, seed: int) -> MAPPO:
    """MAPPO as a config describes it."""
    actor = stochastic_actor(config, env)
    networks = value_options(config, env)
    critic: StateCritic | InfluenceCritic | CentralCritic
    if config.critic == "central":
        del networks["share"]  # there is one network
        critic = CentralCritic(env.n_agents, env.state_dim, **networks)
    elif config.critic == "influence":
        critic = influence_critic(config, env, actor, shared_first=config.shared_first)
    else:
        critic = StateCritic(
            env.n_agents,
            env.state_dim,
            shared_first=config.shared_first,
            **state_neighbours(config, env),
            **networks,
        )
    return MAPPO(make_env, actor, critic, seed=seed, **select(config, SharingOptions))
