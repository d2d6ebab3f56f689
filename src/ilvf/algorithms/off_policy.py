"""The loop of off-policy algorithms:  collect → replay → minibatches → loss → Adam → targets."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase

from ilvf.algorithms.base import EnvFactory, Training
from ilvf.algorithms.options import OffPolicyOptions
from ilvf.checkpoints.restoring import restoring
from ilvf.checkpoints.state import worlds_go_on
from ilvf.data.replay import FOLDER, Replay, folder_of
from ilvf.data.rollout import ReplayLoader
from ilvf.data.sequences import Sequences, Transitions
from ilvf.errors import require
from ilvf.modules.actors.greedy import RandomFirst
from ilvf.modules.memory import memories_of


class OffPolicy(Training):
    """An off-policy algorithm as a LightningModule.

    An iteration collects one rollout, adds its transitions to the replay buffer and samples
    `updates` minibatches; before the first, `warmup` frames are collected with random actions.
    Networks with a memory are trained on sequences: chunks of `chunk` transitions with the
    `burn_in` steps before them. A minibatch of them has `batch_size` transitions, rounded up to
    whole chunks.
    Targets follow after every optimiser step,  θ̄ ← (1 − τ) θ̄ + τ θ,  or are copied every
    `target_every` steps.

    Args:
        make_env: builds the environment, called with `num_envs`, `seed` and `device`.
        loss: owns the networks, with `actor`; `target_pairs` are (target, source) modules,
            `batch_keys` and `optional_keys` what it reads of a transition.
        options: of the replay buffer and of the training.
        seed: see `Training`.
        before_rollout: called with the number of frames before every rollout; sets exploration.
    """

    diagnostics = "td"
    options: OffPolicyOptions
    explorer: RandomFirst

    def __init__(
        self,
        make_env: EnvFactory,
        loss: Any,
        options: OffPolicyOptions,
        *,
        seed: int = 0,
        before_rollout: Callable[[int], object] | None = None,
    ):
        super().__init__(make_env, loss, options, seed=seed)
        self.before_rollout = before_rollout
        self.rows = options.num_envs * options.rollout_steps  # transitions of a rollout
        self.layout = layout_of(loss, options)

    # ------------------------------------------------------------------ Lightning
    def on_fit_start(self) -> None:
        super().on_fit_start()
        self.layout = layout_of(self.loss, self.options)
        keep = bool(self.trainer.checkpoint_callbacks)
        folder = Path(self.trainer.default_root_dir) / FOLDER if keep else None
        batches = -(-self.options.batch_size // self.rows)  # rounded up
        self.replay = Replay(
            max(self.options.capacity // self.rows, batches),
            self.rows // self.layout.steps,
            self.indexed_device(),
            folder,
            self.global_rank,
            self.layout.unit,
        )
        if self.pending is not None:
            self._restore(self.pending["ranks"][self.global_rank])

    def _restore(self, saved: dict[str, Any]) -> None:
        """The replay buffer of a checkpoint, and the steps before the next rollout."""
        self.replay.restore(saved["replay"], folder_of(Path(str(self.trainer.ckpt_path))))
        with restoring("steps before the next rollout"):
            self.layout.restore(saved, self.indexed_device(), goes_on=worlds_go_on(saved))

    def behaviour(self) -> TensorDictModuleBase:
        self.__dict__["explorer"] = RandomFirst(self.exploring())  # not a submodule
        return self.explorer

    def exploring(self) -> TensorDictModuleBase:
        """The policy that collects after the warm-up."""
        return self.loss.actor

    def train_dataloader(self) -> ReplayLoader:
        return ReplayLoader(self.collect, self._sample, updates=self.options.updates)

    def _sample(self) -> TensorDictBase:
        """A minibatch: transitions `[batch_size]`, or whole sequences with about as many."""
        rows = -(-self.options.batch_size // self.layout.steps)  # rounded up
        return self.layout.whole(self.replay.sample(rows))

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        every = self.options.target_every
        if every is not None and self.global_step % every:
            return
        tau = self.options.tau if every is None else 1.0
        self.loss.update_targets(tau)

    def state_of_rank(self) -> dict[str, Any]:
        return {"replay": self.replay.state(), **self.layout.state()}

    def _checkpoint_failed(self) -> bool:
        """Whether the newest checkpoint could not be written, so that an older one counts."""
        files: Any = self.trainer.strategy.checkpoint_io
        failed = bool(getattr(files, "failed", None))  # the first process writes
        return self.trainer.strategy.reduce_boolean_decision(failed, all=False)

    # ------------------------------------------------------------------ one iteration
    @torch.no_grad()
    def collect(self) -> None:
        """Add a new rollout to the buffer; before the first one, rollouts of random actions."""
        self.begin_iteration()
        if not self._checkpoint_failed():
            self.replay.prune()
        self.explorer.random = True
        while self._needs_warmup():
            self.collected(self._rollout())
        self.explorer.random = False
        rollout = self._rollout()
        self.collected_at = time.perf_counter()
        self.collected(rollout)

    def _needs_warmup(self) -> bool:
        kept = len(self.replay) * self.layout.steps
        too_few = kept + self.rows < self.options.batch_size
        return self.frames < self.options.warmup or too_few

    def _rollout(self) -> TensorDictBase:
        if self.before_rollout is not None:
            self.before_rollout(self.frames)
        with self.trainer.precision_plugin.forward_context():
            rollout = next(self.rollouts)
        keys = list(self.loss.batch_keys)
        for key in self.loss.optional_keys:
            if rollout.get(key, None) is not None:
                keys.append(key)
        self.replay.add(self.layout.cut(rollout.select(*keys)))
        return rollout


def layout_of(loss: Any, options: OffPolicyOptions) -> Transitions:
    """What the replay buffer keeps of a rollout.

    Raises:
        UsageError: the burn-in reaches beyond the rollout before.
    """
    hidden = [memory.key for memory in memories_of(loss.actor)]
    if not hidden:
        require(
            loss.burn_in == 0,
            f"burn_in={loss.burn_in} is for networks with a memory; leave it out, or set recurrent",
        )
        return Transitions()
    require(
        loss.burn_in <= options.rollout_steps,
        f"burn_in={loss.burn_in} is more than rollout_steps={options.rollout_steps}; a burn-in "
        "reaches into the rollout before, and no further",
    )
    return Sequences(options.chunk, loss.burn_in, hidden)
