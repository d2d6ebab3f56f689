"""What the `build` functions of the algorithms have in common."""

from dataclasses import replace
from typing import Any, Literal

from torch import Tensor
from torchrl.envs import EnvBase

from ilvf.algorithms.options import (
    ALGORITHMS,
    AlgorithmConfig,
    NeighbourOptions,
    OnPolicyConfig,
    OnPolicyOptions,
    PolicyConfig,
    ShareOptions,
)
from ilvf.envs.nearest import nearest_agents
from ilvf.errors import UsageError, require
from ilvf.losses import PPOLoss
from ilvf.losses.options import AttentionPPOOptions
from ilvf.modules import (
    Box,
    CategoricalActor,
    Choices,
    GaussianActor,
    MultiCategoricalActor,
    MultiChoices,
    RewardModel,
    ValueNorm,
    actions_of,
)
from ilvf.modules.actors.network import StochasticActor
from ilvf.modules.images import Image, image_of
from ilvf.modules.options import (
    GaussianActorOptions,
    GaussianOptions,
    ImageOptions,
    NetworkOptions,
    PolicyOptions,
    ValueOptions,
)
from ilvf.options import Options, select, shown


def network_options(config: AlgorithmConfig, env: EnvBase) -> dict[str, Any]:
    """Keyword arguments of critics, which read states."""
    return {**select(config, NetworkOptions), "image": image_in("state", config, env)}


def actor_options(config: AlgorithmConfig, env: EnvBase) -> dict[str, Any]:
    """Keyword arguments of actors; they are masked where the environment masks actions."""
    masked = ("agents", "action_mask") in env.observation_spec.keys(True)
    image = image_in("observation", config, env)
    return {**select(config, PolicyOptions), "masked": masked, "image": image}


def value_options(
    config: OnPolicyConfig, env: EnvBase, read: Literal["state", "observation"] = "state"
) -> dict[str, Any]:
    """Keyword arguments of the critics that can have a memory.

    Args:
        read: what the critic reads.
    """
    return {**select(config, ValueOptions), "image": image_in(read, config, env)}


def image_in(
    read: Literal["state", "observation"], config: AlgorithmConfig, env: EnvBase
) -> Image | None:
    """The image that networks find in a state or an observation, with its convolutions.

    Raises:
        UsageError: the environment has no image, or options of images are set without one.
    """
    if config.images == "flat":
        for name, default in vars(ImageOptions()).items():
            value = getattr(config, name)
            require(
                value == default,
                f"algorithm.{name}={shown(value)} is for algorithm.images=cnn; leave it out",
            )
        return None
    name = type(env).__name__
    require(
        getattr(env, "observation_image", None) is not None,
        f"algorithm.images=cnn: the agents of {name} do not observe one image of the same size "
        "each; leave it out",
    )
    found = image_of(getattr(env, f"{read}_image", None), name)
    if found is None:
        return None
    return replace(found, filters=config.filters, convolutions=config.convolutions)


def neighbours_of(config: NeighbourOptions, env: EnvBase) -> Tensor | None:
    """The agents that each agent's critic sees `[N, K]`, see `nearest_agents`; None for all."""
    if config.neighbours is None:
        return None
    return nearest_agents(env, env.n_agents, config.neighbours)


def categorical_actor(config: AlgorithmConfig, env: EnvBase) -> CategoricalActor:
    """The actor of a config for an environment whose actions are one choice each.

    Raises:
        UsageError: other actions; the sentence names the algorithms that take them.
    """
    return CategoricalActor(
        env.n_agents,
        env.observation_dim,
        number_of_choices(config, env),
        **actor_options(config, env),
    )


def stochastic_actor(config: PolicyConfig, env: EnvBase) -> StochasticActor:
    """The actor of a config for the actions of an environment."""
    actions = actions_of(env)
    if isinstance(actions, Box):
        return GaussianActor(
            env.n_agents,
            env.observation_dim,
            actions,
            image=image_in("observation", config, env),
            **select(config, GaussianActorOptions),
        )
    require_default(config, GaussianOptions, "continuous", env)
    if isinstance(actions, MultiChoices):
        return MultiCategoricalActor(
            env.n_agents,
            env.observation_dim,
            actions,
            **actor_options(config, env),
        )
    return categorical_actor(config, env)


def number_of_choices(config: AlgorithmConfig, env: EnvBase) -> int:
    """A of an environment whose actions are one choice each; see `categorical_actor`."""
    actions = actions_of(env)
    if isinstance(actions, Choices):
        return actions.width
    name = type(env).__name__
    if isinstance(actions, Box):
        takers = [name for name, known in ALGORITHMS.items() if known.continuous]
        raise UsageError(
            f"{name} has continuous {actions}, and {config.title} needs discrete "
            f"ones; {', '.join(takers)} take continuous actions"
        )
    takers = [name for name, known in ALGORITHMS.items() if known.several]
    raise UsageError(
        f"{name} has {actions}, and {config.title} needs those of one choice; "
        f"{', '.join(takers)} take several choices"
    )


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
    actor: StochasticActor,
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
    split = isinstance(options, ShareOptions) and options.reward == "split"
    model = reward_model(actor) if split else None
    loss = PPOLoss(actor, critic, norm, model, **select(options, AttentionPPOOptions))
    loss.set_keys(state=("agents", state_key))
    return loss


def reward_model(actor: StochasticActor) -> RewardModel:
    """A model of the team's reward, with networks like those of the actor."""
    arguments = actor.arguments
    sizes = arguments["n_agents"], arguments["observation_dim"]
    given = {name: arguments[name] for name in vars(NetworkOptions()) if name in arguments}
    return RewardModel(*sizes, actor.actions, **given)
