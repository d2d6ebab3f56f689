"""QMIX and VDN: every agent greedy in a value of its own, whose mixture is the team's."""

from collections.abc import Iterable
from typing import Any

import torch
from tensordict import TensorDictBase
from torch import Tensor

from ilvf.algorithms.base import EnvFactory
from ilvf.algorithms.off_policy import OffPolicy
from ilvf.errors import require
from ilvf.losses.qmix import QMIXLoss
from ilvf.modules.actors.greedy import GreedyActor, linear_schedule
from ilvf.modules.mixer import Mixer


class QMIX(OffPolicy):
    """QMIX from its parts; VDN with a mixer that sums.

    Args:
        make_env, actor, mixer: ready-made.
        epsilon_start, epsilon_end, epsilon_frames: ε falls in a straight line over so many frames.
        loss: keyword arguments of `QMIXLoss`.
        **options: of `OffPolicy`.
    """

    def __init__(
        self,
        make_env: EnvFactory,
        actor: GreedyActor,
        mixer: Mixer,
        *,
        epsilon_start: float = 1.0,
        epsilon_end: float = 0.05,
        epsilon_frames: int = 50_000,
        loss: dict[str, Any] | None = None,
        **options: Any,
    ):
        for name, value in dict(epsilon_start=epsilon_start, epsilon_end=epsilon_end).items():
            require(0 <= value <= 1, f"{name}={value} must be in [0, 1]")
        require(epsilon_frames >= 0, f"epsilon_frames={epsilon_frames} must not be negative")
        super().__init__(make_env, QMIXLoss(actor, mixer, **(loss or {})), **options)
        self.epsilon = (epsilon_start, epsilon_end, epsilon_frames)

    def _networks(self) -> Iterable[tuple[str, torch.nn.Module]]:
        return (("actor", self.loss.actor), ("mixer", self.loss.mixer))

    def prepare(self) -> None:
        self.loss.actor.epsilon.fill_(linear_schedule(self.frames, *self.epsilon))

    def measure(self, rollout: TensorDictBase) -> dict[str, Tensor]:
        return super().measure(rollout) | {"explore/epsilon": self.loss.actor.epsilon.clone()}
