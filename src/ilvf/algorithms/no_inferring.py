"""ILVF-P (no inferring): the influence is an attention over actions, not states (App. B.3)."""

from torchrl.envs import EnvBase

from ilvf.algorithms.base import EnvFactory
from ilvf.algorithms.ilvf_p import ILVFP, discretisation
from ilvf.algorithms.options import ILVFPOptions, NoInferringConfig
from ilvf.algorithms.parts import network_options, stochastic_actor
from ilvf.modules import ActionInfluenceCritic
from ilvf.options import select


def build(config: NoInferringConfig, make_env: EnvFactory, env: EnvBase, seed: int) -> ILVFP:
    """`ILVFP` with an `ActionInfluenceCritic`."""
    actor = stochastic_actor(config, env)
    critic = ActionInfluenceCritic(
        env.n_agents,
        env.state_dim,
        actor.actions,
        tau=config.tau,
        initial=config.initial_influence,
        **network_options(config, env),
    )
    return ILVFP(
        make_env,
        actor,
        critic,
        discretise=discretisation(config),
        seed=seed,
        **select(config, ILVFPOptions),
    )
