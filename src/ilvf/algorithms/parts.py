"""What the `build` functions of the algorithms have in common."""

from typing import Any

from torchrl.envs import EnvBase

from ilvf.algorithms.options import AlgorithmConfig, OnPolicyOptions
from ilvf.losses import PPOLoss
from ilvf.losses.options import SparsePPOOptions
from ilvf.modules import CategoricalActor, ValueNorm
from ilvf.modules.options import ActorOptions, NetworkOptions
from ilvf.options import select


def network_options(config: AlgorithmConfig) -> dict[str, Any]:
    """Keyword arguments of critics."""
    return select(config, NetworkOptions)


def actor_options(config: AlgorithmConfig, env: EnvBase) -> dict[str, Any]:
    """Keyword arguments of actors; they are masked where the environment masks actions."""
    masked = ("agents", "action_mask") in env.observation_spec.keys(True)
    return {**select(config, ActorOptions), "masked": masked}


def categorical_actor(config: AlgorithmConfig, env: EnvBase) -> CategoricalActor:
    """The actor of a config for an environment."""
    return CategoricalActor(
        env.n_agents, env.observation_dim, env.n_actions, **actor_options(config, env)
    )


def ppo_loss(
    actor: CategoricalActor, critic: Any, options: OnPolicyOptions, state_key: str, values: int
) -> PPOLoss:
    """The clipped-surrogate loss, with value normalisation if the options have it.

    Args:
        values: number of values that the critic outputs: N, or 1 for the team.
    """
    norm = ValueNorm((values, 1), min_variance=options.min_variance) if options.value_norm else None
    loss = PPOLoss(actor, critic, norm, **select(options, SparsePPOOptions))
    loss.set_keys(state=("agents", state_key))
    return loss
