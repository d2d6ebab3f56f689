"""The one loop of all on-policy algorithms:  collect → advantage → minibatches → loss → Adam → log.

Lightning drives it: one trainer epoch is one iteration, `training_step` is the loss.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

import lightning as L
import torch
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.envs import EnvBase
from torchrl.objectives.value import ValueEstimatorBase

from ilvf.algorithms.state import checksum, load_env, load_generators, save_run_state
from ilvf.errors import UsageError, require
from ilvf.evaluation import EVALUATION_SEED, episode_metrics, episode_sums, evaluate
from ilvf.losses import ILVFLoss
from ilvf.rollout import RolloutLoader, make_collector

EnvFactory = Callable[..., EnvBase]  # make_env(num_envs=, seed=, device=)


class OnPolicy(L.LightningModule):
    """An on-policy actor-critic algorithm as a LightningModule.

    Args:
        make_env: builds the environment, called with `num_envs`, `seed` and `device`.
        loss: owns actor, critic and value normalisation.
        advantage: writes what the loss reads into a rollout `[B, T]`.
        num_envs: environments per process.
        rollout_steps: T, steps of each environment per iteration.
        epochs, minibatches: passes over a rollout, pieces of each pass.
        lr, adam_eps: of Adam.
        max_grad_norm: clip of the gradient's norm, times the number of agents (the loss is a sum over agents).
        eval_every: iterations between evaluations; the last iteration is always evaluated.
        eval_episodes: episodes of an evaluation.
        eval_steps: its longest episode; None is the environment's `horizon`.
        seed: of the environments (plus 1000 per process) and of everything random.
    """

    advantage: Any
    loss: ILVFLoss

    def __init__(
        self,
        make_env: EnvFactory,
        loss: ILVFLoss,
        advantage: ValueEstimatorBase,
        *,
        num_envs: int = 64,
        rollout_steps: int = 50,
        epochs: int = 5,
        minibatches: int = 4,
        lr: float = 1e-3,
        adam_eps: float = 1e-5,
        max_grad_norm: float = 10.0,
        eval_every: int = 10,
        eval_episodes: int = 32,
        eval_steps: int | None = None,
        seed: int = 0,
    ):
        super().__init__()
        require(lr > 0, f"lr={lr} must be positive; 1e-3 is the practical setting, 8e-5 the paper's")
        require(max_grad_norm > 0, f"max_grad_norm={max_grad_norm} must be positive")
        sizes = dict(num_envs=num_envs, rollout_steps=rollout_steps, epochs=epochs, minibatches=minibatches)
        for name, value in {**sizes, "eval_every": eval_every, "eval_episodes": eval_episodes}.items():
            require(value >= 1, f"{name}={value} must be at least 1")
        frames = num_envs * rollout_steps
        require(minibatches <= frames, f"minibatches={minibatches} is more than the {frames} frames of a rollout")
        require(adam_eps > 0, f"adam_eps={adam_eps} must be positive")
        self.make_env, self.loss = make_env, loss
        self.__dict__["advantage"] = advantage  # no submodule: its constants belong to the config, not to checkpoints
        self.num_envs, self.rollout_steps, self.epochs, self.minibatches = num_envs, rollout_steps, epochs, minibatches
        self.lr, self.adam_eps, self.max_grad_norm = lr, adam_eps, max_grad_norm
        require(eval_steps is None or eval_steps >= 1, f"eval_steps={eval_steps} must be at least 1")
        self.eval_every, self.eval_episodes, self.eval_steps, self.seed = eval_every, eval_episodes, eval_steps, seed
        self.frames = 0  # environment steps of the whole team, over all processes
        self.wall_s = 0.0  # seconds of training so far
        self.config: dict[str, Any] = {}  # the resolved config of the run, saved in checkpoints
        self.last_metrics: dict[str, float] = {}
        self.stop_requested = False
        self._pending: dict[str, Any] | None = None
        self._steps: list[Tensor] = []
        self._step_names: list[str] = []

    # ------------------------------------------------------------------ Lightning: set-up
    def on_fit_start(self) -> None:
        torch.manual_seed(self.seed + 1000 * self.global_rank)
        self.env = self.make_env(
            num_envs=self.num_envs, seed=self.seed + 1000 * self.global_rank, device=self._indexed_device()
        )
        self._evaluation_steps(self.env)
        if self._pending is not None:
            self.frames = self._pending["frames"]
            load_env(self._pending, self.env, self.global_rank, self.trainer.world_size)
        self.collector = make_collector(self.env, self.loss.actor, self.rollout_steps)
        self._rollouts = iter(self.collector)

    def on_train_start(self) -> None:
        for group in self.trainer.optimizers[0].param_groups:  # a resumed run may have been given others
            group.update(lr=self.lr, eps=self.adam_eps)

    def teardown(self, stage: str) -> None:
        if hasattr(self, "collector"):
            self.collector.shutdown()
            del self._rollouts, self.collector

    def configure_optimizers(self) -> torch.optim.Optimizer:
        groups = [{"params": list(net.parameters()), "name": name} for name, net in self._networks()]
        return torch.optim.Adam(groups, lr=self.lr, eps=self.adam_eps, fused=True)

    def _networks(self) -> Iterable[tuple[str, torch.nn.Module]]:
        return (("actor", self.loss.actor), ("critic", self.loss.critic))

    def train_dataloader(self) -> RolloutLoader:
        return RolloutLoader(self.collect, epochs=self.epochs, minibatches=self.minibatches, renew=self.renew)

    def _indexed_device(self) -> torch.device:
        d = self.device
        return torch.device("cuda", torch.cuda.current_device()) if d.type == "cuda" and d.index is None else d

    # ------------------------------------------------------------------ one iteration
    @torch.no_grad()
    def collect(self) -> TensorDictBase:
        """A new rollout with its advantages, flattened to `[B·T]` and cut down to what the loss reads."""
        self._restore_generators()
        self._started = time.perf_counter()
        with self.trainer.precision_plugin.forward_context():
            rollout = next(self._rollouts)
            self._collected = time.perf_counter()
            self.estimate(rollout)
        if self.loss.value_norm is not None:
            self.loss.value_norm.update(rollout[self.loss.tensor_keys.value_target])
        self._sums = episode_sums(rollout)
        self._measures = self.measure(rollout)
        self.frames += rollout.numel() * self.trainer.world_size
        return rollout.select(*self.kept_keys).reshape(-1)

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
        """Scalars of one rollout that are averaged over processes; algorithms add their own."""
        keys = self.advantage.tensor_keys
        target, value = rollout[keys.value_target], rollout[keys.value]
        unexplained = (target - value).var() / target.var().clamp_min(1e-12)
        return {"value/explained_variance": 1 - unexplained, "value/target_mean": target.mean()}

    def training_step(self, batch: TensorDictBase, batch_idx: int) -> Tensor:
        terms = self.loss(batch)
        losses = {k: v for k, v in terms.items() if k.startswith("loss_")}
        total = torch.stack(list(losses.values())).sum()
        self._step_names = list(terms.keys())
        self._steps.append(torch.stack([v.detach() for v in terms.values()]))
        return total

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        limit = gradient_clip_val or self.max_grad_norm * self.loss.actor.arguments["n_agents"]
        norm = torch.nn.utils.clip_grad_norm_(self.parameters(), limit)
        self._steps[-1] = torch.cat([self._steps[-1], norm.detach().unsqueeze(0)])

    def on_train_epoch_end(self) -> None:
        metrics = self._gather_metrics()
        last = self.current_epoch + 1 == self.trainer.max_epochs
        stop = self.trainer.strategy.reduce_boolean_decision(self.stop_requested, all=False)
        if last or (self.current_epoch + 1) % self.eval_every == 0:
            metrics |= self._evaluate()
        self.last_metrics = metrics
        if self.logger is not None:
            self.logger.log_metrics(metrics, step=self.frames)
        self.log_dict(metrics, logger=False, batch_size=1)
        self.trainer.should_stop = self.trainer.should_stop or stop

    def _gather_metrics(self) -> dict[str, float]:
        """Everything of this iteration, over all processes, in one transfer to the host."""
        steps = torch.stack(self._steps)
        self._steps = []
        self._require_finite(steps)
        names = [f"loss/{n[5:]}" if n.startswith("loss_") else f"ppo/{n}" for n in self._step_names] + [
            "optim/grad_norm"
        ]
        means = dict(zip(names, steps.mean(0), strict=True)) | self._measures
        reduce = self.trainer.strategy.reduce
        sums = reduce(torch.stack([v.float() for v in self._sums.values()]), reduce_op="sum").tolist()
        averages = reduce(torch.stack([v.float() for v in means.values()]), reduce_op="mean").tolist()
        now = time.perf_counter()
        frames = self.num_envs * self.rollout_steps * self.trainer.world_size
        self.wall_s += now - self._started
        clock = {
            "time/wall_s": self.wall_s,
            "time/frames_per_s": frames / (now - self._started),
            "time/collect_share": (self._collected - self._started) / (now - self._started),
        }
        metrics = episode_metrics(dict(zip(self._sums, sums, strict=True)))
        return metrics | dict(zip(means, averages, strict=True)) | clock | {"frames": float(self.frames)}

    def _require_finite(self, steps: Tensor) -> None:
        if torch.isfinite(steps).all():
            return
        row, column = (~torch.isfinite(steps)).nonzero()[0].tolist()
        name = [*self._step_names, "gradient norm"][column]
        step = self.global_step - len(steps) + row + 1
        raise UsageError(
            f"{name} became {steps[row, column].item()} at optimiser step {step} (iteration {self.current_epoch + 1}, "
            f"{self.frames} frames); the last good checkpoint is kept. Try a smaller lr, or check the rewards for NaN"
        )

    # ------------------------------------------------------------------ evaluation
    def _evaluate(self) -> dict[str, float]:
        env = self.make_env(num_envs=self.eval_episodes, seed=EVALUATION_SEED + self.seed, device=self.env.device)
        metrics, rollout = evaluate(env, self.loss.actor, max_steps=self._evaluation_steps(env))
        callbacks: list[Any] = self.trainer.callbacks  # type: ignore[attr-defined]
        for callback in callbacks:
            if hasattr(callback, "on_evaluation"):
                callback.on_evaluation(self.trainer, self, env, rollout)
        return {f"eval/{k}": v for k, v in metrics.items()}

    def _evaluation_steps(self, env: EnvBase) -> int:
        steps = self.eval_steps if self.eval_steps is not None else getattr(env, "horizon", None)
        if steps is None:
            raise UsageError(f"{type(env).__name__} has no horizon; say how long an evaluation episode is, eval_steps=")
        return steps

    # ------------------------------------------------------------------ checkpoints
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["ilvf"] = {
            "config": self.config,
            "actor": self.loss.actor.arguments,
            "run": getattr(self.logger, "run_id", None),
            "wall_s": self.wall_s,
            "state": save_run_state(self.env, self.frames, checksum(self)),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.wall_s = checkpoint["ilvf"]["wall_s"]
        self._pending = checkpoint["ilvf"]["state"]

    def _restore_generators(self) -> None:
        """Last of all, when everything else that draws random numbers has been built."""
        if self._pending is not None:
            load_generators(self._pending["ranks"][self.global_rank]["generators"])
            self._pending = None
