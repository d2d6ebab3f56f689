"""What the `build` functions of the algorithms have in common."""

from typing import Any

from torch import Tensor
from torchrl.envs import EnvBase

from ilvf.algorithms.observed import Read, parts_in
from ilvf.algorithms.options import (
    ALGORITHMS,
    AlgorithmConfig,
    ChoiceOfNeighbours,
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
    InfluenceCritic,
    MultiCategoricalActor,
    MultiChoices,
    RewardModel,
    ValueNorm,
    actions_of,
)
from ilvf.modules.actors.network import StochasticActor
from ilvf.modules.options import (
    GaussianActorOptions,
    GaussianOptions,
    NetworkOptions,
    PolicyOptions,
    ValueOptions,
)
from ilvf.options import Options, select, shown


def network_options(config: AlgorithmConfig, env: EnvBase) -> dict[str, Any]:
    """Keyword arguments of critics, which read states."""
    return {**select(config, NetworkOptions), "parts": parts_in("state", config, env)}


def actor_options(config: AlgorithmConfig, env: EnvBase) -> dict[str, Any]:
    """Keyword arguments of actors; they are masked where the environment masks actions."""
    masked = ("agents", "action_mask") in env.observation_spec.keys(True)
    parts = parts_in("observation", config, env)
    return {**select(config, PolicyOptions), "masked": masked, "parts": parts}


def value_options(config: OnPolicyConfig, env: EnvBase, read: Read = "state") -> dict[str, Any]:
    """Keyword arguments of the critics that can have a memory.

    Args:
        read: what the critic reads.
    """
    return {**select(config, ValueOptions), "parts": parts_in(read, config, env)}


def neighbours_of(config: NeighbourOptions, env: EnvBase) -> Tensor | None:
    """The agents that each agent's critic sees `[N, K]`, see `nearest_agents`; None for all."""
    if config.neighbours is None:
        return None
    return nearest_agents(env, env.n_agents, config.neighbours)


def state_neighbours(config: ChoiceOfNeighbours, env: EnvBase) -> dict[str, Any]:
    """Keyword arguments of a `StateCritic`: which agents it sees, and who chooses them."""
    if config.neighbours_by == "attention":
        return {"attended": config.neighbours}
    return {"neighbours": neighbours_of(config, env)}


def influence_critic(
    config: PolicyConfig, env: EnvBase, actor: StochasticActor, **options: Any
) -> InfluenceCritic:
    """The critic of ILVF-P, which reads the others by attention.

    Args:
        options: of `InfluenceCritic`, beside those of its networks.
    """
    neighbours = neighbours_of(config, env) if isinstance(config, NeighbourOptions) else None
    networks = {**network_options(config, env), **options, "neighbours": neighbours}
    return InfluenceCritic(env.n_agents, env.state_dim, actor.actions, **networks)


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
            parts=parts_in("observation", config, env),
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
