"""MADDPG: every agent climbs its own critic, which sees all states and all actions."""

from collections.abc import Iterable
from typing import Any

import torch

from ilvf.algorithms.base import EnvFactory
from ilvf.algorithms.off_policy import OffPolicy
from ilvf.errors import require
from ilvf.losses.maddpg import MADDPGLoss
from ilvf.modules.actors.categorical import CategoricalActor
from ilvf.modules.critics.joint import JointCritic


class MADDPG(OffPolicy):
    """MADDPG for discrete actions from its parts. Its policies are stochastic, which is its exploration.

    Args:
        make_env, actor, critic: ready-made.
        actor_lr: learning rate of the actors; None is `lr`, that of the critics.
        loss: keyword arguments of `MADDPGLoss`.
        **options: of `OffPolicy`.
    """

    def __init__(
        self,
        make_env: EnvFactory,
        actor: CategoricalActor,
        critic: JointCritic,
        *,
        actor_lr: float | None = None,
        loss: dict[str, Any] | None = None,
        **options: Any,
    ):
        require(actor_lr is None or actor_lr > 0, f"actor_lr={actor_lr} must be positive")
        super().__init__(make_env, MADDPGLoss(actor, critic, **(loss or {})), **options)
        self.actor_lr = actor_lr

    def _networks(self) -> Iterable[tuple[str, torch.nn.Module]]:
        return (("actor", self.loss.actor), ("critic", self.loss.critic))

    def learning_rate(self, name: str) -> float:
        return self.actor_lr if name == "actor" and self.actor_lr is not None else self.lr
