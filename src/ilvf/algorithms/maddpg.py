"""MADDPG: every agent ascends a critic that reads all states and actions (Lowe et al., 2017)."""

from typing import Any

from torch import nn
from torchrl.envs import EnvBase

from ilvf.algorithms.base import EnvFactory
from ilvf.algorithms.off_policy import OffPolicy
from ilvf.algorithms.options import MADDPGConfig, OffPolicyOptions
from ilvf.algorithms.parts import categorical_actor, network_options
from ilvf.errors import require
from ilvf.losses import MADDPGLoss
from ilvf.losses.options import MADDPGOptions
from ilvf.modules import CategoricalActor, JointCritic
from ilvf.options import configure, select


class MADDPG(OffPolicy):
    """MADDPG for discrete actions from its parts. Its stochastic policies are its exploration.

    Args:
        make_env: builds the environment, called with `num_envs`, `seed` and `device`.
        actor, critic: networks.
        actor_lr: learning rate of the actors; None is `lr`, that of the critics.
        loss: keyword arguments of `MADDPGLoss`.
        seed: of the environments and of all other random numbers.
        **options: fields of `OffPolicyOptions`.
    """

    def __init__(
        self,
        make_env: EnvFactory,
        actor: CategoricalActor,
        critic: JointCritic,
        *,
        actor_lr: float | None = None,
        loss: dict[str, Any] | None = None,
        seed: int = 0,
        **options: Any,
    ):
        require(actor_lr is None or actor_lr > 0, f"actor_lr={actor_lr} must be positive")
        given = configure(OffPolicyOptions, options, "MADDPG")
        super().__init__(make_env, MADDPGLoss(actor, critic, **(loss or {})), given, seed=seed)
        self.actor_lr = actor_lr

    def parameter_groups(self) -> dict[str, tuple[nn.Module, float]]:
        lr = self.options.lr
        return {
            "actor": (self.loss.actor, self.actor_lr or lr),
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
    return MADDPG(
        make_env,
        actor,
        critic,
        actor_lr=config.actor_lr,
        loss=select(config, MADDPGOptions),
        seed=seed,
        **select(config, OffPolicyOptions),
    )
