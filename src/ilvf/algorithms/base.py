"""What every algorithm shares, on-policy or off: set-up, one iteration's clock and metrics, evaluation, checkpoints.

Lightning drives it: one trainer epoch is one iteration, `training_step` is the loss.
"""

import time
from abc import abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor
from torchrl.envs import EnvBase

from ilvf.checkpoints.policy import arguments_of
from ilvf.checkpoints.state import checksum, load_env, load_generators, save_run_state
from ilvf.data.evaluation import EVALUATION_SEED, episode_metrics, episode_sums, evaluate
from ilvf.data.rollout import make_collector
from ilvf.errors import UsageError, require

EnvFactory = Callable[..., EnvBase]  # make_env(num_envs=, seed=, device=)


class Training(L.LightningModule):
    """The base of `OnPolicy` and `OffPolicy`, which say how an iteration's minibatches come about.

    Args:
        make_env: builds the environment, called with `num_envs`, `seed` and `device`.
        loss: owns what is learned; `loss.actor` acts.
        num_envs: environments per process.
        rollout_steps: T, steps of each environment per iteration.
        lr, adam_eps: of Adam.
        lr_end: learning rate of the last iteration, approached in a straight line; None keeps `lr`.
        max_grad_norm: clip of the gradient's norm, times the number of agents (the loss is a sum over agents).
        eval_every: iterations between evaluations; the last iteration is always evaluated.
        eval_episodes: episodes of an evaluation.
        eval_steps: its longest episode; None is the environment's `horizon`.
        eval_deterministic: evaluate the most likely actions; False samples, as in training. Where the right action is
            a mean of two, as in CACC, the most likely one may be far worse.
        seed: of the environments (plus 1000 per process) and of everything random.
    """

    loss: Any
    diagnostics = "train"  # metrics of the loss that are not losses are called diagnostics/NAME

    def __init__(
        self,
        make_env: EnvFactory,
        loss: Any,
        *,
        num_envs: int = 64,
        rollout_steps: int = 50,
        lr: float = 1e-3,
        lr_end: float | None = None,
        adam_eps: float = 1e-5,
        max_grad_norm: float = 10.0,
        eval_every: int = 10,
        eval_episodes: int = 32,
        eval_steps: int | None = None,
        eval_deterministic: bool = True,
        seed: int = 0,
    ):
        super().__init__()
        require(
            lr > 0, f"lr={lr} must be positive; 1e-3 is the practical setting, 8e-5 the paper's"
        )
        require(
            lr_end is None or 0 <= lr_end <= lr,
            f"lr_end={lr_end} must be between 0 and lr={lr}, or null",
        )
        require(max_grad_norm > 0, f"max_grad_norm={max_grad_norm} must be positive")
        sizes = dict(
            num_envs=num_envs,
            rollout_steps=rollout_steps,
            eval_every=eval_every,
            eval_episodes=eval_episodes,
        )
        for name, value in sizes.items():
            require(value >= 1, f"{name}={value} must be at least 1")
        require(adam_eps > 0, f"adam_eps={adam_eps} must be positive")
        require(
            eval_steps is None or eval_steps >= 1, f"eval_steps={eval_steps} must be at least 1"
        )
        self.make_env, self.loss = make_env, loss
        self.num_envs, self.rollout_steps = num_envs, rollout_steps
        self.lr, self.lr_end, self.adam_eps, self.max_grad_norm = (
            lr,
            lr_end,
            adam_eps,
            max_grad_norm,
        )
        self.eval_every, self.eval_episodes, self.eval_steps, self.seed = (
            eval_every,
            eval_episodes,
            eval_steps,
            seed,
        )
        self.eval_deterministic = eval_deterministic
        self.frames = 0  # environment steps of the whole team, over all processes
        self.wall_s = 0.0  # seconds of training so far
        self.config: dict[str, Any] = {}  # the resolved config of the run, saved in checkpoints
        self.attention: Tensor | None = (
            None  # w averaged over the last rollout's states, row = critic, if there is one
        )
        self.last_metrics: dict[str, float] = {}
        self._started = self._collected = (
            0.0  # [s] when this iteration began, when its frames were there
        )
        self._frames_before = 0
        self.stop_requested = False
        self._pending: dict[str, Any] | None = None
        self._steps: list[Tensor] = []
        self._step_names: list[str] = []

    # ------------------------------------------------------------------ Lightning: set-up
    def on_fit_start(self) -> None:
        torch.manual_seed(self.seed + 1000 * self.global_rank)
        self.env = self.make_env(
            num_envs=self.num_envs,
            seed=self.seed + 1000 * self.global_rank,
            device=self._indexed_device(),
        )
        self._evaluation_steps(self.env)
        if self._pending is not None:
            self.frames = self._pending["frames"]
            load_env(self._pending, self.env, self.global_rank, self.trainer.world_size)
        self.collector = make_collector(self.env, self.behaviour(), self.rollout_steps)
        self._rollouts = iter(self.collector)

    def behaviour(self) -> TensorDictModuleBase:
        """What collects: the actor."""
        return self.loss.actor

    def on_train_start(self) -> None:
        for group in self.trainer.optimizers[
            0
        ].param_groups:  # a resumed run may have been given others
            group.update(lr=self.learning_rate(group["name"]), eps=self.adam_eps)

    def _decay(self) -> None:
        """The learning rates of this iteration."""
        if self.lr_end is not None:
            done = self.current_epoch / max((self.trainer.max_epochs or 1) - 1, 1)
            for group in self.trainer.optimizers[0].param_groups:
                group["lr"] = self.learning_rate(group["name"]) * (
                    1 - done * (1 - self.lr_end / self.lr)
                )

    def teardown(self, stage: str) -> None:
        if hasattr(self, "collector"):
            self.collector.shutdown()
            del self._rollouts, self.collector

    def configure_optimizers(self) -> torch.optim.Optimizer:
        named = [(name, list(net.parameters())) for name, net in self._networks()]
        groups = [
            {"params": p, "name": name, "lr": self.learning_rate(name)} for name, p in named if p
        ]
        return torch.optim.Adam(groups, lr=self.lr, eps=self.adam_eps, fused=True)

    @abstractmethod
    def _networks(self) -> Iterable[tuple[str, torch.nn.Module]]:
        """The parameter groups, by name."""

    def learning_rate(self, name: str) -> float:
        """Of the parameter group of that name."""
        return self.lr

    def _indexed_device(self) -> torch.device:
        d = self.device
        return (
            torch.device("cuda", torch.cuda.current_device())
            if d.type == "cuda" and d.index is None
            else d
        )

    # ------------------------------------------------------------------ one iteration
    def begin_iteration(self) -> None:
        """Start the clock; the generators of a resumed run go back to where they were, last of all that is built."""
        self._restore_generators()
        self._decay()
        self._started, self._frames_before = time.perf_counter(), self.frames

    def note(self, rollout: TensorDictBase) -> None:
        """What the metrics need of a rollout `[B, T]`."""
        self._sums = episode_sums(rollout)
        self._measures = self.measure(rollout)
        self.frames += rollout.numel() * self.trainer.world_size

    def measure(self, rollout: TensorDictBase) -> dict[str, Tensor]:
        """Scalars of one rollout that are averaged over processes; algorithms add their own."""
        return {}

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
        names = [
            f"loss/{n[5:]}" if n.startswith("loss_") else f"{self.diagnostics}/{n}"
            for n in self._step_names
        ]
        means = dict(zip([*names, "optim/grad_norm"], steps.mean(0), strict=True)) | self._measures
        reduce = self.trainer.strategy.reduce
        sums = reduce(
            torch.stack([v.float() for v in self._sums.values()]), reduce_op="sum"
        ).tolist()
        averages = reduce(
            torch.stack([v.float() for v in means.values()]), reduce_op="mean"
        ).tolist()
        now = time.perf_counter()
        self.wall_s += now - self._started
        clock = {
            "time/wall_s": self.wall_s,
            "time/frames_per_s": (self.frames - self._frames_before) / (now - self._started),
            "time/collect_share": (self._collected - self._started) / (now - self._started),
        }
        metrics = episode_metrics(dict(zip(self._sums, sums, strict=True)))
        return (
            metrics
            | dict(zip(means, averages, strict=True))
            | clock
            | {"frames": float(self.frames)}
        )

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
    def influence_in(self, states: TensorDictBase) -> tuple[Tensor, Tensor] | None:
        """(w, Ŵ) `[*B, N, N]` in these states (with these actions), row = acting agent; None if none is learned."""
        return None

    def _evaluate(self) -> dict[str, float]:
        env = self.make_env(
            num_envs=self.eval_episodes, seed=EVALUATION_SEED + self.seed, device=self.env.device
        )
        env.eval()  # environments may pay training rewards that no score should have
        steps, greedy = self._evaluation_steps(env), self.eval_deterministic
        metrics, rollout = evaluate(env, self.loss.actor, max_steps=steps, deterministic=greedy)
        callbacks: list[Any] = self.trainer.callbacks  # type: ignore[attr-defined]
        for callback in callbacks:
            if hasattr(callback, "on_evaluation"):
                callback.on_evaluation(self.trainer, self, env, rollout)
        env.close()
        return {f"eval/{k}": v for k, v in metrics.items()}

    def _evaluation_steps(self, env: EnvBase) -> int:
        steps = self.eval_steps if self.eval_steps is not None else getattr(env, "horizon", None)
        if steps is None:
            raise UsageError(
                f"{type(env).__name__} has no horizon; say how long an evaluation episode is, eval_steps="
            )
        return steps

    # ------------------------------------------------------------------ checkpoints
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["ilvf"] = {
            "config": self.config,
            "actor": arguments_of(self.loss.actor),
            "run": getattr(self.logger, "run_id", None),
            "wall_s": self.wall_s,
            "state": save_run_state(self.env, self.frames, checksum(self), **self.state_of_rank()),
        }

    def state_of_rank(self) -> dict[str, Any]:
        """More that every process saves of itself; tensors, tuples, lists, dicts and plain values."""
        return {}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.wall_s = checkpoint["ilvf"]["wall_s"]
        self._pending = checkpoint["ilvf"]["state"]

    def require_complete(self, path: Path, content: dict[str, Any]) -> None:
        """Raise if something that a checkpoint needs and does not hold itself is missing."""

    def _restore_generators(self) -> None:
        if self._pending is not None:
            load_generators(self._pending["ranks"][self.global_rank]["generators"])
            self._pending = None
