"""ILVF-S: influence found by a score test on each rollout, with Wiener weights."""

from typing import Any

from torchrl.envs import EnvBase

from ilvf.algorithms.base import EnvFactory
from ilvf.algorithms.ilvf_p import ILVFP, Critic
from ilvf.algorithms.options import ILVFPOptions, ILVFSConfig
from ilvf.algorithms.parts import (
    influence_critic,
    neighbours_of,
    state_neighbours,
    stochastic_actor,
    value_options,
)
from ilvf.credit import ScoreInfluence
from ilvf.credit.options import ScoreOptions
from ilvf.modules import StateCritic
from ilvf.options import select


def build(config: ILVFSConfig, make_env: EnvFactory, env: EnvBase, seed: int) -> ILVFP:
    """`ILVFP` with a `ScoreInfluence`, as a config describes it."""
    actor = stochastic_actor(config, env)
    neighbours = neighbours_of(config, env)
    shared: dict[str, Any] = {"shared_first": config.shared_first}
    critic: Critic
    if config.critic == "state":
        networks = {**value_options(config, env), **state_neighbours(config, env)}
        critic = StateCritic(env.n_agents, env.state_dim, **shared, **networks)
    else:
        critic = influence_critic(config, env, actor, **shared)
    return ILVFP(
        make_env,
        actor,
        critic,
        influence=ScoreInfluence(actor, neighbours=neighbours, **select(config, ScoreOptions)),
        seed=seed,
        **select(config, ILVFPOptions),
    )
