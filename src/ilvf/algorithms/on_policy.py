"""The loop of all on-policy algorithms:  collect → advantages → minibatches → loss → Adam → log."""

import time
from typing import Any

import torch
from tensordict import TensorDictBase
from torch import Tensor, nn

from ilvf.algorithms.base import EnvFactory, Training
from ilvf.algorithms.options import OnPolicyOptions
from ilvf.credit.signals import alive
from ilvf.data.rollout import RolloutLoader
from ilvf.losses import PPOLoss


class OnPolicy(Training):
    """An on-policy actor-critic algorithm as a LightningModule.

    Args:
        make_env: builds the environment, called with `num_envs`, `seed` and `device`.
        loss: owns actor, critic and value normalisation.
        advantage: writes what the loss reads into a rollout `[B, T]`.
        options: of PPO and of the training.
        seed: see `Training`.
        redraw: draw Ŵ again before every epoch but the first (`ILVFAdvantage.mix`).
    """

    advantage: Any
    loss: PPOLoss
    options: OnPolicyOptions
    diagnostics = "ppo"

    def __init__(
        self,
        make_env: EnvFactory,
        loss: PPOLoss,
        advantage: Any,
        options: OnPolicyOptions,
        *,
        seed: int = 0,
        redraw: bool = False,
    ):
        super().__init__(make_env, loss, options, seed=seed)
        self.redraw = redraw
        self.__dict__["advantage"] = advantage  # not a submodule: checkpoints leave it out

    def parameter_groups(self) -> dict[str, tuple[nn.Module, float]]:
        lr = self.options.lr
        return {"actor": (self.loss.actor, lr), "critic": (self.loss.critic, lr)}

    def train_dataloader(self) -> RolloutLoader:
        return RolloutLoader(
            self.collect,
            epochs=self.options.epochs,
            minibatches=self.options.minibatches,
            renew=self.advantage.mix if self.redraw else None,
        )

    @torch.no_grad()
    def collect(self) -> TensorDictBase:
        """A rollout with advantages, flattened to `[B·T]` and reduced to what the loss reads."""
        self.begin_iteration()
        with self.trainer.precision_plugin.forward_context():
            rollout = next(self.rollouts)
        self.collected_at = time.perf_counter()
        self.advantage(rollout)  # in full precision, also with bf16-mixed
        self._update_value_norm(rollout)
        self.collected(rollout)
        return rollout.select(*self._kept_keys(rollout)).reshape(-1)

    def _update_value_norm(self, rollout: TensorDictBase) -> None:
        norm = self.loss.value_norm
        if norm is None:
            return
        keys = self.loss.tensor_keys
        target = rollout[keys.value_target]
        living = alive(rollout, keys.mask, self.loss.actor.arguments["n_agents"])
        if living is not None and living.shape != target.shape:  # a target of the whole team
            living = None
        norm.update(target, living)

    def _kept_keys(self, rollout: TensorDictBase) -> list[Any]:
        """What of a rollout goes into the minibatches."""
        keys = list(self.loss.batch_keys)
        if self.redraw:
            keys += self.advantage.mixing_keys
        if rollout.get(self.loss.tensor_keys.mask, None) is not None:
            keys.append(self.loss.tensor_keys.mask)
        return keys

    def measure(self, rollout: TensorDictBase) -> dict[str, Tensor]:
        keys = self.advantage.tensor_keys
        target = rollout[keys.value_target]
        unexplained = (target - rollout[keys.value]).var() / target.var().clamp_min(1e-12)
        return {"value/explained_variance": 1 - unexplained, "value/target_mean": target.mean()}
