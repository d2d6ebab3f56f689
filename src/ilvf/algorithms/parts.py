"""What the `build` functions of the algorithms have in common."""

from typing import Any

from torchrl.envs import EnvBase

from ilvf.algorithms.options import (
    ALGORITHMS,
    AlgorithmConfig,
    OnPolicyConfig,
    OnPolicyOptions,
    PolicyConfig,
)
from ilvf.errors import UsageError, require
from ilvf.losses import PPOLoss
from ilvf.losses.options import AttentionPPOOptions
from ilvf.modules import Box, CategoricalActor, GaussianActor, RewardModel, ValueNorm, actions_of
from ilvf.modules.options import (
    GaussianActorOptions,
    GaussianOptions,
    NetworkOptions,
    PolicyOptions,
    ValueOptions,
)
from ilvf.options import Options, select, shown


def network_options(config: AlgorithmConfig) -> dict[str, Any]:
    """Keyword arguments of critics."""
    return select(config, NetworkOptions)


def actor_options(config: AlgorithmConfig, env: EnvBase) -> dict[str, Any]:
    """Keyword arguments of actors; they are masked where the environment masks actions."""
    masked = ("agents", "action_mask") in env.observation_spec.keys(True)
    return {**select(config, PolicyOptions), "masked": masked}


def value_options(config: OnPolicyConfig) -> dict[str, Any]:
    """Keyword arguments of the critics that can have a memory."""
    return select(config, ValueOptions)


def categorical_actor(config: AlgorithmConfig, env: EnvBase) -> CategoricalActor:
    """The actor of a config for an environment with discrete actions.

    Raises:
        UsageError: the actions are continuous; the sentence names the algorithms that take them.
    """
    return CategoricalActor(
        env.n_agents,
        env.observation_dim,
        number_of_choices(config, env),
        **actor_options(config, env),
    )


def stochastic_actor(config: PolicyConfig, env: EnvBase) -> CategoricalActor | GaussianActor:
    """The actor of a config for an environment with discrete or continuous actions."""
    actions = actions_of(env)
    if isinstance(actions, Box):
        return GaussianActor(
            env.n_agents,
            env.observation_dim,
            actions,
            **select(config, GaussianActorOptions),
        )
    require_default(config, GaussianOptions, "continuous", env)
    return categorical_actor(config, env)


def number_of_choices(config: AlgorithmConfig, env: EnvBase) -> int:
    """A of an environment with discrete actions; see `categorical_actor`."""
    actions = actions_of(env)
    if isinstance(actions, Box):
        takers = [name for name, known in ALGORITHMS.items() if known.continuous]
        raise UsageError(
            f"{type(env).__name__} has continuous {actions}, and {config.title} needs discrete "
            f"ones; {', '.join(takers)} take continuous actions"
        )
    return actions.width


def require_default(
    config: AlgorithmConfig, options: type[Options], kind: str, env: EnvBase
) -> None:
    """Raise if options are set that have no effect with an environment's actions.

    Args:
        options: a dataclass of options that are for one kind of actions.
        kind: `continuous` or `discrete`, that kind.
    """
    for name, default in vars(options()).items():
        value = getattr(config, name)
        require(
            value == default,
            f"algorithm.{name}={shown(value)} is for {kind} actions, which "
            f"{type(env).__name__} does not have; leave it out",
        )


def ppo_loss(
    actor: CategoricalActor | GaussianActor,
    critic: Any,
    options: OnPolicyOptions,
    state_key: str,
    values: int,
) -> PPOLoss:
    """The clipped-surrogate loss, with value normalisation if the options have it.

    Args:
        values: number of values that the critic outputs: N, or 1 for the team.
    """
    norm = ValueNorm((values, 1), min_variance=options.min_variance) if options.value_norm else None
    model = reward_model(actor) if options.reward == "split" else None
    loss = PPOLoss(actor, critic, norm, model, **select(options, AttentionPPOOptions))
    loss.set_keys(state=("agents", state_key))
    return loss


def reward_model(actor: CategoricalActor | GaussianActor) -> RewardModel:
    """A model of the team's reward, with networks like those of the actor."""
    arguments = actor.arguments
    sizes = arguments["n_agents"], arguments["observation_dim"]
    given = {name: arguments[name] for name in vars(NetworkOptions()) if name in arguments}
    return RewardModel(*sizes, actor.actions, **given)


def require_own_reward(options: OnPolicyOptions, owner: str) -> None:
    """Raise if rewards are shared out for an algorithm that reads their sum alone."""
    require(
        options.reward == "own",
        f"reward={options.reward} shares out the team's reward, and {owner} reads the sum alone; "
        "leave it out",
    )
