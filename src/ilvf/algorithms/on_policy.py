"""The one loop of all on-policy algorithms:  collect → advantage → minibatches → loss → Adam → log.

Lightning drives it: one trainer epoch is one iteration, `training_step` is the loss.
"""

import time
from collections.abc import Iterable
from typing import Any

import torch
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.objectives.value import ValueEstimatorBase

from ilvf.algorithms.base import EnvFactory, Training
from ilvf.credit.signals import alive
from ilvf.data.rollout import RolloutLoader
from ilvf.errors import require
from ilvf.losses import ILVFLoss

__all__ = ["EnvFactory", "OnPolicy"]


class OnPolicy(Training):
    """An on-policy actor-critic algorithm as a LightningModule.

    Args:
        make_env: builds the environment, called with `num_envs`, `seed` and `device`.
        loss: owns actor, critic and value normalisation.
        advantage: writes what the loss reads into a rollout `[B, T]`.
        epochs, minibatches: passes over a rollout, pieces of each pass.
        **options: of `Training`.
    """

    advantage: Any
    loss: ILVFLoss
    diagnostics = "ppo"

    def __init__(
        self,
        make_env: EnvFactory,
        loss: ILVFLoss,
        advantage: ValueEstimatorBase,
        *,
        epochs: int = 5,
        minibatches: int = 4,
        **options: Any,
    ):
        super().__init__(make_env, loss, **options)
        for name, value in dict(epochs=epochs, minibatches=minibatches).items():
            require(value >= 1, f"{name}={value} must be at least 1")
        frames = self.num_envs * self.rollout_steps
        require(
            minibatches <= frames,
            f"minibatches={minibatches} is more than the {frames} frames of a rollout",
        )
        self.__dict__["advantage"] = (
            advantage  # no submodule: its constants belong to the config, not to checkpoints
        )
        self.epochs, self.minibatches = epochs, minibatches

    def _networks(self) -> Iterable[tuple[str, torch.nn.Module]]:
        return (("actor", self.loss.actor), ("critic", self.loss.critic))

    def train_dataloader(self) -> RolloutLoader:
        return RolloutLoader(
            self.collect, epochs=self.epochs, minibatches=self.minibatches, renew=self.renew
        )

    @torch.no_grad()
    def collect(self) -> TensorDictBase:
        """A new rollout with its advantages, flattened to `[B·T]` and cut down to what the loss reads."""
        self.begin_iteration()
        with self.trainer.precision_plugin.forward_context():
            rollout = next(self._rollouts)
            self._collected = time.perf_counter()
            self.estimate(rollout)
        if self.loss.value_norm is not None:
            target = rollout[self.loss.tensor_keys.value_target]
            living = alive(
                rollout, self.loss.tensor_keys.mask, self.loss.actor.arguments["n_agents"]
            )
            self.loss.value_norm.update(
                target, living if living is not None and living.shape == target.shape else None
            )
        self.note(rollout)
        may = [k for k in (self.loss.tensor_keys.mask,) if rollout.get(k, None) is not None]
        return rollout.select(*self.kept_keys, *may).reshape(-1)

    @property
    def kept_keys(self) -> list[Any]:
        """What of a rollout goes into the minibatches."""
        return self.loss.batch_keys

    def renew(self, batch: TensorDictBase) -> None:
        """Before every epoch but the first; algorithms that draw something per epoch do it here."""

    def estimate(self, rollout: TensorDictBase) -> None:
        """Write advantages and value targets into a rollout `[B, T]`."""
        self.advantage(rollout)

    def measure(self, rollout: TensorDictBase) -> dict[str, Tensor]:
        keys = self.advantage.tensor_keys
        target, value = rollout[keys.value_target], rollout[keys.value]
        unexplained = (target - value).var() / target.var().clamp_min(1e-12)
        return {"value/explained_variance": 1 - unexplained, "value/target_mean": target.mean()}
