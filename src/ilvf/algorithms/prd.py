"""PRD-MAPPO: credit for the agents whose returns attend to one's action.

Partial reward decoupling (Freed et al., 2021; Kapoor et al., 2024).
"""

from torchrl.envs import EnvBase

from ilvf.algorithms.base import EnvFactory
from ilvf.algorithms.ilvf_p import ILVFP
from ilvf.algorithms.options import ILVFPOptions, PRDConfig
from ilvf.algorithms.parts import network_options, stochastic_actor
from ilvf.credit import LearnedInfluence, Soft, Threshold
from ilvf.modules import RelevanceCritic
from ilvf.options import select


def build(config: PRDConfig, make_env: EnvFactory, env: EnvBase, seed: int) -> ILVFP:
    """`ILVFP` with a `RelevanceCritic` as the source of its weights."""
    actor = stochastic_actor(config, env)
    networks = network_options(config, env)
    critic = RelevanceCritic(env.n_agents, env.state_dim, actor.actions, **networks)
    influence = LearnedInfluence(
        Soft() if config.threshold is None else Threshold(config.threshold),
        orientation=config.orientation,
        writer=critic.relevance_module(),
    )
    return ILVFP(
        make_env,
        actor,
        critic,
        influence=influence,
        seed=seed,
        **select(config, ILVFPOptions),
    )
