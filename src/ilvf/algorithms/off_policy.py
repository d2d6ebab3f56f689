"""The one loop of all off-policy algorithms:  collect → replay buffer → minibatches → loss → Adam → targets → log.

Lightning drives it: one trainer epoch is one iteration, `training_step` is the loss.
"""

import time
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase

from ilvf.algorithms.base import EnvFactory, Training
from ilvf.data.replay import FOLDER, Replay, folder_of, read_rollout
from ilvf.data.rollout import ReplayLoader
from ilvf.errors import require
from ilvf.modules.actors.greedy import RandomFirst
from ilvf.modules.targets import follow


class OffPolicy(Training):
    """An off-policy algorithm as a LightningModule.

    An iteration collects one rollout, puts its transitions into the replay buffer and takes `updates` minibatches out
    of it; before the first, `warmup` frames are collected with random actions. Targets follow after every optimiser
    step:  θ̄ ← (1 − τ) θ̄ + τ θ, or are copied every `target_every` steps.

    Args:
        make_env: builds the environment, called with `num_envs`, `seed` and `device`.
        loss: owns what is learned, `actor` among it; `target_pairs` names (target, source) modules, `batch_keys` what
            it reads of a transition.
        num_envs, rollout_steps: environments per process and steps of each per iteration.
        updates, batch_size: optimiser steps of an iteration and transitions of each, per process.
        capacity: transitions kept, per process, in whole rollouts.
        warmup: frames with random actions before learning, over all processes.
        tau, target_every: how targets follow; `target_every=None` moves them by τ after every step.
        **options: of `Training`.
    """

    diagnostics = "td"
    explorer: RandomFirst

    def __init__(
        self,
        make_env: EnvFactory,
        loss: Any,
        *,
        num_envs: int = 16,
        rollout_steps: int = 50,
        updates: int = 40,
        batch_size: int = 256,
        capacity: int = 50_000,
        warmup: int = 1_600,
        tau: float = 0.01,
        target_every: int | None = None,
        **options: Any,
    ):
        super().__init__(make_env, loss, num_envs=num_envs, rollout_steps=rollout_steps, **options)
        for name, value in dict(updates=updates, batch_size=batch_size).items():
            require(value >= 1, f"{name}={value} must be at least 1")
        self.rows = num_envs * rollout_steps
        need = max(self.rows, batch_size)
        require(
            capacity >= need,
            f"capacity={capacity} is too small for a rollout and a minibatch; it needs {need}",
        )
        require(warmup >= 0, f"warmup={warmup} must not be negative")
        require(0 < tau <= 1, f"tau={tau} must be in (0, 1]")
        require(
            target_every is None or target_every >= 1,
            f"target_every={target_every} must be at least 1, or null",
        )
        self.updates, self.batch_size, self.warmup = updates, batch_size, warmup
        self.pieces = max(capacity // self.rows, -(-batch_size // self.rows))
        self.tau, self.target_every = tau, target_every

    # ------------------------------------------------------------------ Lightning
    def on_fit_start(self) -> None:
        super().on_fit_start()
        keep = bool(self.trainer.checkpoint_callbacks)
        folder = Path(self.trainer.default_root_dir) / FOLDER if keep else None
        self.replay = Replay(
            self.pieces, self.rows, self._indexed_device(), folder, self.global_rank
        )
        if self._pending is not None:
            mine = self._pending["ranks"][self.global_rank]["replay"]
            self.replay.restore(mine, folder_of(Path(str(self.trainer.ckpt_path))))

    def behaviour(self) -> TensorDictModuleBase:
        self.__dict__["explorer"] = RandomFirst(
            self.loss.actor
        )  # no submodule: its parameters are the loss's
        return self.explorer

    def train_dataloader(self) -> ReplayLoader:
        return ReplayLoader(
            self.collect, lambda: self.replay.sample(self.batch_size), updates=self.updates
        )

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.target_every is None:
            tau = self.tau
        elif self.global_step % self.target_every == 0:
            tau = 1.0
        else:
            return
        for target, source in self.loss.target_pairs:
            follow(target, source, tau)

    # ------------------------------------------------------------------ one iteration
    @torch.no_grad()
    def collect(self) -> None:
        """A new rollout into the buffer; at the very beginning random ones before it."""
        self.begin_iteration()
        self.replay.prune()
        self.explorer.random = True
        while self.frames < self.warmup or len(self.replay) + self.rows < self.batch_size:
            self.note(self._rollout())
        self.explorer.random = False
        rollout = self._rollout()
        self._collected = time.perf_counter()
        self.note(rollout)

    def _rollout(self) -> TensorDictBase:
        self.prepare()
        with self.trainer.precision_plugin.forward_context():
            rollout = next(self._rollouts)
        may = [k for k in self.loss.optional_keys if rollout.get(k, None) is not None]
        self.replay.add(rollout.select(*self.loss.batch_keys, *may).reshape(-1))
        return rollout

    def prepare(self) -> None:
        """Before every rollout; algorithms set their exploration here."""

    # ------------------------------------------------------------------ checkpoints
    def state_of_rank(self) -> dict[str, Any]:
        return {"replay": self.replay.state()}

    def require_complete(self, path: Path, content: dict[str, Any]) -> None:
        for rank in content["ilvf"]["state"]["ranks"]:
            for name in rank["replay"]["files"]:
                read_rollout(folder_of(path) / name, check=True)
