"""QMIX and VDN: agents act greedily in individual values, whose mixture is the team's value."""

from typing import Any

from tensordict import TensorDictBase
from torch import Tensor, nn
from torchrl.envs import EnvBase

from ilvf.algorithms.base import EnvFactory
from ilvf.algorithms.off_policy import OffPolicy
from ilvf.algorithms.options import QMIXConfig, QMIXTrainingOptions
from ilvf.algorithms.parts import actor_options, number_of_choices
from ilvf.losses import QMIXLoss
from ilvf.losses.options import QMIXOptions
from ilvf.modules import GreedyActor, Mixer
from ilvf.modules.actors.greedy import linear_schedule
from ilvf.options import configure, select


class QMIX(OffPolicy):
    """QMIX from its parts (Rashid et al., 2018); VDN (Sunehag et al., 2018) with a mixer that sums.

    Args:
        make_env: builds the environment, called with `num_envs`, `seed` and `device`.
        actor, mixer: networks.
        seed: of the environments and of all other random numbers.
        **options: fields of `QMIXTrainingOptions`.
    """

    options: QMIXTrainingOptions

    def __init__(
        self,
        make_env: EnvFactory,
        actor: GreedyActor,
        mixer: Mixer,
        *,
        seed: int = 0,
        **options: Any,
    ):
        given = configure(QMIXTrainingOptions, options, "QMIX")
        loss = QMIXLoss(actor, mixer, **select(given, QMIXOptions))
        super().__init__(make_env, loss, given, seed=seed, before_rollout=self._set_epsilon)

    def _set_epsilon(self, frames: int) -> None:
        o = self.options
        epsilon = linear_schedule(frames, o.epsilon_start, o.epsilon_end, o.epsilon_frames)
        self.loss.actor.epsilon.fill_(epsilon)

    def parameter_groups(self) -> dict[str, tuple[nn.Module, float]]:
        lr = self.options.lr
        return {"actor": (self.loss.actor, lr), "mixer": (self.loss.mixer, lr)}

    def measure(self, rollout: TensorDictBase) -> dict[str, Tensor]:
        return super().measure(rollout) | {"explore/epsilon": self.loss.actor.epsilon.clone()}


def build(config: QMIXConfig, make_env: EnvFactory, env: EnvBase, seed: int) -> QMIX:
    """QMIX or VDN as a config describes it."""
    actor = GreedyActor(
        env.n_agents,
        env.observation_dim,
        number_of_choices(config, env),
        **actor_options(config, env),
    )
    mixer = Mixer(
        config.mixer,
        env.n_agents,
        env.state_dim,
        embed=config.embed,
        input_norm=config.input_norm,
    )
    return QMIX(make_env, actor, mixer, seed=seed, **select(config, QMIXTrainingOptions))
