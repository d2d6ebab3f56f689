"""COMA: credit for the difference to the policy's average action (Foerster et al., 2018)."""

from typing import Any

from torchrl.envs import EnvBase

from ilvf.algorithms.base import EnvFactory
from ilvf.algorithms.on_policy import OnPolicy
from ilvf.algorithms.options import COMAConfig, COMAOptions
from ilvf.algorithms.parts import (
    categorical_actor,
    network_options,
    ppo_loss,
)
from ilvf.credit.estimators import CounterfactualAdvantage
from ilvf.modules import CategoricalActor, CounterfactualCritic
from ilvf.options import configure, select
from ilvf.options.arguments import require_kind


class COMA(OnPolicy):
    """Â_i = Q_i(s, a) − Σ_b π_i(b | o_i) Q_i(s, b, a_−i), with Q_i of the team's reward.

    It differs from COMA's paper in two points, to compare on equal terms: PPO's clipped surrogate
    instead of one gradient step per batch, and a network of its own for every agent's head.

    Args:
        make_env: builds the environment, called with `num_envs`, `seed` and `device`.
        actor, critic: networks.
        state_key: what the critic reads: `state`, or `observation` where there is no state.
        seed: of the environments and of all other random numbers.
        **options: fields of `COMAOptions`. λ is 0.8, that of COMA's paper; on Encircle 0.95 learns
            more, on small games less. Q is not clipped: clipping it as MAPPO clips V made teams of
            20 unlearn (results on Encircle).
    """

    def __init__(
        self,
        make_env: EnvFactory,
        actor: CategoricalActor,
        critic: CounterfactualCritic,
        *,
        state_key: str = "state",
        seed: int = 0,
        **options: Any,
    ):
        given = configure(COMAOptions, options, "COMA")
        require_kind("COMA", "actor", actor, CategoricalActor, "a CategoricalActor")
        loss = ppo_loss(actor, critic, given, state_key, actor.arguments["n_agents"])
        advantage = CounterfactualAdvantage(
            actor,
            critic,
            loss.value_norm,
            gamma=given.gamma,
            lmbda=given.lmbda,
            normalize=given.normalize,
            state_key=state_key,
        )
        super().__init__(make_env, loss, advantage, given, seed=seed)


def build(config: COMAConfig, make_env: EnvFactory, env: EnvBase, seed: int) -> COMA:
    """COMA as a config describes it."""
    actor = categorical_actor(config, env)
    critic = CounterfactualCritic(
        env.n_agents, env.state_dim, actor.actions.width, **network_options(config, env)
    )
    return COMA(make_env, actor, critic, seed=seed, **select(config, COMAOptions))
