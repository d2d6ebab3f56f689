"""MADDPG: every agent ascends a critic that reads all states and actions (Lowe et al., 2017)."""

from typing import Any

from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor, nn
from torchrl.envs import EnvBase

from ilvf.algorithms.base import EnvFactory
from ilvf.algorithms.off_policy import OffPolicy
from ilvf.algorithms.options import MADDPGConfig, MADDPGTrainingOptions, NoiseOptions
from ilvf.algorithms.parts import (
    actor_options,
    categorical_actor,
    network_options,
    require_default,
)
from ilvf.checkpoints.restoring import restoring
from ilvf.losses import MADDPGLoss
from ilvf.losses.options import MADDPGOptions
from ilvf.modules import (
    Box,
    CategoricalActor,
    DeterministicActor,
    JointCritic,
    NoisyActor,
    actions_of,
)
from ilvf.modules.actors.greedy import linear_schedule
from ilvf.options import configure, select


class MADDPG(OffPolicy):
    """MADDPG from its parts.

    A `CategoricalActor` explores by its own sampling, a `DeterministicActor` by noise (see
    `NoisyActor`), whose size falls linearly.

    Args:
        make_env: builds the environment, called with `num_envs`, `seed` and `device`.
        actor, critic: networks; the critic is built for `actor.actions`.
        seed: of the environments and of all other random numbers.
        **options: fields of `MADDPGTrainingOptions`.
    """

    options: MADDPGTrainingOptions
    noisy: NoisyActor | None

    def __init__(
        self,
        make_env: EnvFactory,
        actor: CategoricalActor | DeterministicActor,
        critic: JointCritic,
        *,
        seed: int = 0,
        **options: Any,
    ):
        given = configure(MADDPGTrainingOptions, options, "MADDPG")
        loss = MADDPGLoss(actor, critic, **select(given, MADDPGOptions))
        super().__init__(make_env, loss, given, seed=seed, before_rollout=self._set_noise)
        self.__dict__["noisy"] = None  # not a submodule

    def on_fit_start(self) -> None:
        super().on_fit_start()
        if self.pending is not None and self.noisy is not None:
            saved = self.pending["ranks"][self.global_rank].get("noise", {})
            with restoring("exploration noise"):
                self.noisy.restore(saved, self.env.batch_size)

    def exploring(self) -> TensorDictModuleBase:
        actor = self.loss.actor
        if isinstance(actor, DeterministicActor):
            actor = NoisyActor(actor, self.options.noise)
            self.__dict__["noisy"] = actor
        return actor

    def _set_noise(self, frames: int) -> None:
        o = self.options
        if self.noisy is not None:
            size = linear_schedule(frames, o.noise_start, o.noise_end, o.noise_frames)
            self.noisy.epsilon.fill_(size)

    def parameter_groups(self) -> dict[str, tuple[nn.Module, float]]:
        lr = self.options.lr
        return {
            "actor": (self.loss.actor, self.options.actor_lr or lr),
            "critic": (self.loss.critic, lr),
        }

    def measure(self, rollout: TensorDictBase) -> dict[str, Tensor]:
        measures = super().measure(rollout)
        if self.noisy is not None:
            measures["explore/noise"] = self.noisy.epsilon.clone()
        return measures

    def state_of_rank(self) -> dict[str, Any]:
        state = super().state_of_rank()
        return state if self.noisy is None else {**state, "noise": self.noisy.process}


def build(config: MADDPGConfig, make_env: EnvFactory, env: EnvBase, seed: int) -> MADDPG:
    """MADDPG as a config describes it."""
    actions = actions_of(env)
    actor: CategoricalActor | DeterministicActor
    if isinstance(actions, Box):
        actor = DeterministicActor(
            env.n_agents, env.observation_dim, actions, **actor_options(config, env)
        )
    else:
        require_default(config, NoiseOptions, "continuous", env)
        actor = categorical_actor(config, env)
    critic = JointCritic(
        env.n_agents,
        env.state_dim,
        actor.actions,
        gain=config.gain,
        **network_options(config, env),
    )
    return MADDPG(make_env, actor, critic, seed=seed, **select(config, MADDPGTrainingOptions))
