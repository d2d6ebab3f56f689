"""MADDPG: every agent ascends a critic that reads all states and actions (Lowe et al., 2017)."""

from typing import Any

from torch import nn
from torchrl.envs import EnvBase

from ilvf.algorithms.base import EnvFactory
from ilvf.algorithms.off_policy import OffPolicy
from ilvf.algorithms.options import MADDPGConfig, MADDPGTrainingOptions
from ilvf.algorithms.parts import categorical_actor, network_options
from ilvf.losses import MADDPGLoss
from ilvf.losses.options import MADDPGOptions
from ilvf.modules import CategoricalActor, JointCritic
from ilvf.options import configure, select


class MADDPG(OffPolicy):
    """MADDPG for discrete actions from its parts. Its stochastic policies are its exploration.

    Args:
        make_env: builds the environment, called with `num_envs`, `seed` and `device`.
        actor, critic: networks.
        seed: of the environments and of all other random numbers.
        **options: fields of `MADDPGTrainingOptions`.
    """

    options: MADDPGTrainingOptions

    def __init__(
        self,
        make_env: EnvFactory,
        actor: CategoricalActor,
        critic: JointCritic,
        *,
        seed: int = 0,
        **options: Any,
    ):
        given = configure(MADDPGTrainingOptions, options, "MADDPG")
        loss = MADDPGLoss(actor, critic, **select(given, MADDPGOptions))
        super().__init__(make_env, loss, given, seed=seed)

    def parameter_groups(self) -> dict[str, tuple[nn.Module, float]]:
        lr = self.options.lr
        return {
            "actor": (self.loss.actor, self.options.actor_lr or lr),
            "critic": (self.loss.critic, lr),
        }


def build(config: MADDPGConfig, make_env: EnvFactory, env: EnvBase, seed: int) -> MADDPG:
    """MADDPG as a config describes it."""
    actor = categorical_actor(config, env)
    critic = JointCritic(
        env.n_agents,
        env.state_dim,
        env.n_actions,
        gain=config.gain,
        **network_options(config),
    )
    return MADDPG(make_env, actor, critic, seed=seed, **select(config, MADDPGTrainingOptions))
