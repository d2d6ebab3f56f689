"""The loop of all on-policy algorithms:  collect → advantages → minibatches → loss → Adam → log."""

import time
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase, TensorDictSequential
from torch import Tensor, nn

from ilvf.algorithms.base import EnvFactory, Training
from ilvf.algorithms.options import OnPolicyOptions, ShareOptions
from ilvf.credit.signals import alive
from ilvf.data.rollout import RolloutLoader
from ilvf.losses import PPOLoss
from ilvf.losses.ppo import living_mean
from ilvf.modules.actors.tempered import require_temperable, tempered
from ilvf.modules.critics.base import Remembering
from ilvf.modules.reward_model import equal_shares

SHARE = ("agents", "share")  # key of an agent's share of the team's reward, after a step


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
        require_temperable(loss.actor, options.eval_temperature)
        self.redraw = redraw
        if self.shares:
            advantage.set_keys(reward=SHARE)
        self.__dict__["advantage"] = advantage  # not a submodule: checkpoints leave it out

    def parameter_groups(self) -> dict[str, tuple[nn.Module, float]]:
        lr = self.options.lr
        groups: dict[str, tuple[nn.Module, float]] = {
            "actor": (self.loss.actor, lr),
            "critic": (self.loss.critic, lr),
        }
        if self.loss.reward_model is not None:
            groups["reward"] = (self.loss.reward_model, lr)
        return groups

    def behaviour(self) -> TensorDictModuleBase:
        """The actor; a recurrent critic goes along, so that its hidden states are recorded."""
        if self.loss.critic_memory is None:
            return self.loss.actor
        remembering = Remembering(self.loss.critic, self.loss.tensor_keys.state)
        return TensorDictSequential(self.loss.actor, remembering)

    def evaluated(self) -> TensorDictModuleBase:
        """The actor, with the temperature of the evaluation."""
        return tempered(self.loss.actor, self.options.eval_temperature)

    def train_dataloader(self) -> RolloutLoader:
        return RolloutLoader(
            self.collect,
            epochs=self.options.epochs,
            minibatches=self.options.minibatches,
            renew=self.advantage.mix if self.redraw else None,
        )

    @torch.no_grad()
    def collect(self) -> TensorDictBase:
        """A rollout with advantages, reduced to what the loss reads: rows `[B·T]`, or chunks."""
        self.begin_iteration()
        with self.trainer.precision_plugin.forward_context():
            rollout = next(self.rollouts)
        self.collected_at = time.perf_counter()
        self._share_reward(rollout)
        self.advantage(rollout)  # in full precision, also with bf16-mixed
        self._update_value_norm(rollout)
        self.collected(rollout)
        batch = rollout.select(*self._kept_keys(rollout))
        if not self.loss.memories:
            return batch.reshape(-1)
        return batch.reshape(-1, self.options.chunk)

    @property
    def shares(self) -> bool:
        """Whether agents get shares of the team's reward in place of their own rewards."""
        return isinstance(self.options, ShareOptions) and self.options.reward != "own"

    def _share_reward(self, rollout: TensorDictBase) -> None:
        """Write each agent's share of the team's reward, unless its own reward is its share."""
        if not self.shares:
            return
        reward = rollout[self.loss.reward_key]
        model = self.loss.reward_model
        if model is None:
            living = alive(rollout, self.loss.tensor_keys.mask, reward.shape[-2])
            rollout["next", *SHARE] = equal_shares(reward, living)
            return
        model.moments.update(reward.sum(-2, keepdim=True))
        rollout["next", *SHARE] = self.loss.split_reward(rollout)

    def _update_value_norm(self, rollout: TensorDictBase) -> None:
        norm = self.loss.value_norm
        if norm is None:
            return
        target = rollout[self.loss.tensor_keys.value_target]
        norm.update(target, self._living(rollout, target))

    def _living(self, rollout: TensorDictBase, target: Tensor) -> Tensor | None:
        """Whose targets count, in the shape of the targets; None: all."""
        living = alive(rollout, self.loss.tensor_keys.mask, self.loss.actor.arguments["n_agents"])
        if living is None or living.shape != target.shape:  # a target of the whole team
            return None
        return living

    def _kept_keys(self, rollout: TensorDictBase) -> list[Any]:
        """What of a rollout goes into the minibatches."""
        keys = list(self.loss.batch_keys)
        if self.redraw:
            keys += self.advantage.mixing_keys
        if rollout.get(self.loss.tensor_keys.mask, None) is not None:
            keys.append(self.loss.tensor_keys.mask)
        return keys

    def _explained(self, rollout: TensorDictBase) -> Tensor:
        """1 − Var(R − Σ_j r̂_j) / Var(R) over the rollout, by the model as it collected."""
        _, std = self.loss.reward_model.moments.moments()  # type: ignore[union-attr]
        total = rollout[self.loss.reward_key].sum(-2)
        unexplained = (std.squeeze() * self.loss.reward_error(rollout)).var()
        return 1 - unexplained / total.var().clamp_min(1e-12)

    def measure(self, rollout: TensorDictBase) -> dict[str, Tensor]:
        keys = self.advantage.tensor_keys
        target = rollout[keys.value_target]
        living = self._living(rollout, target)
        total = living_variance(target, living).clamp_min(1e-12)
        unexplained = living_variance(target - rollout[keys.value], living) / total
        found = {
            "value/explained_variance": 1 - unexplained,
            "value/target_mean": living_mean(target.squeeze(-1), living),
        }
        if self.loss.reward_model is not None:
            found["reward/explained_variance"] = self._explained(rollout)
        return found


def living_variance(x: Tensor, living: Tensor | None) -> Tensor:
    """Variance of `[*B, N, 1]` over the batch and the living agents, see `living_mean`."""
    x = x.squeeze(-1)
    return living_mean((x - living_mean(x, living)).square(), living)
