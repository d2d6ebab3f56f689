"""What algorithms share: set-up, clock and metrics of an iteration, checkpoints.

Lightning drives the collector: one trainer epoch is one iteration, `training_step` is the loss.
"""

import math
import sys
import time
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from tensordict.utils import NestedKey
from torch import Tensor, nn
from torchrl.collectors import Collector
from torchrl.envs import EnvBase

from ilvf.algorithms.evaluating import evaluated_metrics, evaluation_steps
from ilvf.algorithms.options import TrainingOptions
from ilvf.algorithms.trainer_options import require_trainer
from ilvf.checkpoints.fit import require_same_workers
from ilvf.checkpoints.hidden_states import restored_states, saved_states
from ilvf.checkpoints.policy import arguments_of
from ilvf.checkpoints.state import (
    load_env,
    load_generators,
    save_run_state,
    state_of_process,
    warn_of_new_generators,
)
from ilvf.checkpoints.verify import checksum_of
from ilvf.collectors.elsewhere import Elsewhere
from ilvf.collectors.part import Plan
from ilvf.collectors.team import WorkerRollouts
from ilvf.data.evaluation import SEEDS, episode_metrics, episode_sums
from ilvf.data.rollout import last_states, make_collector, with_memory
from ilvf.data.team_reward import NOTE, has_one_reward
from ilvf.envs.wrapped import saves_states
from ilvf.errors import UsageError
from ilvf.modules.memory import memories_of

EnvFactory = Callable[..., EnvBase]  # make_env(num_envs=, seed=, device=)


class Training(L.LightningModule):
    """Base of `OnPolicy` and `OffPolicy`, which define how an iteration's minibatches are made.

    An algorithm overrides these methods: `parameter_groups` (what is optimised), `behaviour` (what
    collects), `evaluated` (what is evaluated), `train_dataloader` (the minibatches), `measure`
    (metrics of a rollout) and `state_of_rank` (more to save per process). It may have Lightning's
    hooks besides; they call `super()`.

    Args:
        make_env: builds the environment, called with `num_envs`, `seed` and `device`.
        loss: LossModule that owns the networks; `loss.actor` acts.
        options: of the optimiser, the environments and the evaluation.
        seed: of the environments (plus 1000 per process) and of all other random numbers.
    """

    loss: Any
    env: EnvBase  # of this process, from `on_fit_start` on
    diagnostics = "train"  # prefix of the loss's metrics that are not losses

    def __init__(self, make_env: EnvFactory, loss: Any, options: TrainingOptions, *, seed: int = 0):
        super().__init__()
        self.make_env = make_env
        self.loss = loss
        self.options = options
        self.seed = seed
        self.frames = 0  # environment steps of the whole team, over all processes
        self.wall_s = 0.0  # seconds of training so far
        self.config: dict[str, Any] = {}  # the resolved config of the run, saved in checkpoints
        self.last_metrics: dict[str, float] = {}
        self.stop_requested = False
        self.started_at = 0.0  # [s] start of this iteration
        self.collected_at = 0.0  # [s] end of its collection
        self._frames_before = 0
        self.pending: dict[str, Any] | None = None  # state of a checkpoint, not yet restored
        self.hidden: dict[NestedKey, Tensor] = {}  # with which a recurrent policy goes on
        self.elsewhere: Elsewhere | None = None  # workers that collect; None: this process
        self.worker_states: list[Any] = []  # of these workers, after the last rollout
        if memories_of(loss):
            options.check_chunks()
        self._steps: list[Tensor] = []
        self._step_names: list[str] = []

    # ------------------------------------------------------------------ what algorithms override
    @abstractmethod
    def parameter_groups(self) -> dict[str, tuple[nn.Module, float]]:
        """Name → (network, learning rate)."""

    @property
    def shares(self) -> bool:
        """Whether agents get shares of the team's reward in place of their own rewards."""
        return False

    def behaviour(self) -> TensorDictModuleBase:
        """The policy that collects."""
        return self.loss.actor

    def evaluated(self) -> TensorDictModuleBase:
        """The policy that is evaluated."""
        return self.loss.actor

    def measure(self, rollout: TensorDictBase) -> dict[str, Tensor]:
        """Scalars of one rollout, averaged over processes."""
        return {}

    def state_of_rank(self) -> dict[str, Any]:
        """More that each process saves: tensors, tuples, lists, dicts and plain values."""
        return {}

    # ------------------------------------------------------------------ set-up
    def on_fit_start(self) -> None:
        require_trainer(self.trainer, self.options.lr_end)
        torch.manual_seed(self._seed_of_process)
        self.__dict__["env"] = self.make_env(  # not a submodule: checkpoints leave it out
            num_envs=self.options.num_envs if self.elsewhere is None else 1,
            seed=self._seed_of_process,
            device=self.indexed_device(),
        )
        evaluation_steps(self.env, self.options.eval_steps)  # raises before anything is learned
        if self.pending is not None:
            self.frames = self.pending["frames"]
            place = (self.global_rank, self.trainer.world_size)
            workers = 0 if self.elsewhere is None else self.elsewhere.workers
            require_same_workers(state_of_process(self.pending, *place), workers)
        self.collector: Collector | WorkerRollouts
        if self.elsewhere is None:
            self.collector = self._collector_here()
        else:
            self.collector = self._collector_in(self.elsewhere)
        self.rollouts = iter(self.collector)

    def _collector_here(self) -> Collector:
        """The environments of this process and their collector, as a checkpoint has left them."""
        if self.pending is not None:
            place = (self.global_rank, self.trainer.world_size)
            load_env(self.pending, self.env, *place, seed=self._seed_of_process)
        policy = self.behaviour()
        self.hidden = {}
        if self.pending is not None:
            saved = self.pending["ranks"][self.global_rank]
            self.hidden = restored_states(saved, policy, self.env)
        env = with_memory(self.env, policy, self.hidden)
        return make_collector(env, policy, self.options.rollout_steps)

    def _collector_in(self, elsewhere: Elsewhere) -> WorkerRollouts:
        """The workers, as a checkpoint has left them."""
        self.env.close()  # it has told what the environments are like
        saved = None
        if self.pending is not None:
            mine = self.pending["ranks"][self.global_rank]
            warn_of_new_generators(mine, self.env, self.global_rank)
            saved = mine["workers"]
        options = self.options
        plan = Plan(
            self.make_env, b"", options.num_envs, options.rollout_steps, self._seed_of_process
        )
        return elsewhere.rollouts(plan, self.behaviour(), self.indexed_device(), saved)

    def on_train_start(self) -> None:
        self._set_learning_rates(1.0)  # a resumed run may have been given others
        for group in self.trainer.optimizers[0].param_groups:
            group["eps"] = self.options.adam_eps

    def teardown(self, stage: str) -> None:
        if hasattr(self, "collector"):
            self.collector.shutdown()
            del self.rollouts
            del self.collector

    def configure_optimizers(self) -> torch.optim.Optimizer:
        groups = []
        for name, (network, lr) in self.parameter_groups().items():
            parameters = [p for p in network.parameters() if p.requires_grad]
            if parameters:
                groups.append({"params": parameters, "name": name, "lr": lr})
        return torch.optim.Adam(groups, lr=self.options.lr, eps=self.options.adam_eps, fused=True)

    def _set_learning_rates(self, factor: float) -> None:
        groups = self.parameter_groups()
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = groups[group["name"]][1] * factor

    @property
    def _seed_of_process(self) -> int:
        return (self.seed + 1000 * self.global_rank) % SEEDS

    def indexed_device(self) -> torch.device:
        """This process's device, with its index."""
        if self.device.type == "cuda" and self.device.index is None:
            return torch.device("cuda", torch.cuda.current_device())
        return self.device

    # ------------------------------------------------------------------ one iteration
    def begin_iteration(self) -> None:
        """Start the clock; restore the random generators of a resumed run, after all set-up."""
        if self.pending is not None:
            rank = self.global_rank
            load_generators(self.pending, self.env, rank, seed=self._seed_of_process)
            self.pending = None
        if self.options.lr_end is not None:
            done = min(self.current_epoch / max((self.trainer.max_epochs or 1) - 1, 1), 1)
            self._set_learning_rates(1 - done * (1 - self.options.lr_end / self.options.lr))
        self._steps = []
        self.started_at = time.perf_counter()
        self._frames_before = self.frames

    def collected(self, rollout: TensorDictBase) -> None:
        """Count and measure a rollout `[B, T]`, and note if the team gets one reward."""
        first = self.frames == 0 and self.trainer.is_global_zero
        if first and not self.shares and has_one_reward(rollout):
            print(NOTE, file=sys.stderr)
        self._sums = episode_sums(rollout)
        self._measures = self.measure(rollout)
        if isinstance(self.collector, WorkerRollouts):
            self.worker_states = self.collector.state()
        else:
            self.hidden = last_states(rollout, self.loss)
        self.frames += rollout.numel() * self.trainer.world_size

    def training_step(self, batch: TensorDictBase, batch_idx: int) -> Tensor:
        terms = self.loss(batch)
        losses = [value for name, value in terms.items() if name.startswith("loss_")]
        self._step_names = list(terms.keys())
        self._steps.append(torch.stack([value.detach() for value in terms.values()]))
        return torch.stack(losses).sum()

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        n_agents = self.loss.actor.arguments["n_agents"]
        limit = self.options.max_grad_norm * n_agents  # most losses sum over agents
        if gradient_clip_val is not None:
            limit = gradient_clip_val or math.inf  # 0 is no limit
        norm = torch.nn.utils.clip_grad_norm_(self.parameters(), limit)
        self._steps[-1] = torch.cat([self._steps[-1], norm.detach().unsqueeze(0)])

    def on_train_epoch_end(self) -> None:
        metrics = self._gathered() | self._clock() | {"frames": float(self.frames)}
        epoch = self.current_epoch + 1
        stop = self.trainer.strategy.reduce_boolean_decision(self.stop_requested, all=False)
        if epoch == self.trainer.max_epochs or epoch % self.options.eval_every == 0:
            metrics |= evaluated_metrics(self)
        self.last_metrics = metrics
        if self.logger is not None:
            self.logger.log_metrics(metrics, step=self.frames)
        # All that callbacks need of `self.log`, which takes half a millisecond for each
        self.trainer.callback_metrics.update({k: torch.tensor(v) for k, v in metrics.items()})
        self.trainer.should_stop = self.trainer.should_stop or stop

    def _gathered(self) -> dict[str, float]:
        """What this iteration has measured, over all processes, in one transfer to the host."""
        steps = torch.stack(self._steps)
        names = [*map(self._metric_name, self._step_names), "optim/grad_norm"]
        means = dict(zip(names, steps.mean(0), strict=True)) | self._measures
        reduce = self.trainer.strategy.reduce
        summed = torch.stack([value.float() for value in self._sums.values()])
        averaged = torch.stack([value.float() for value in means.values()])
        sums = reduce(summed, reduce_op="sum")
        averages = reduce(averaged, reduce_op="mean")
        finite = torch.isfinite(steps).all().float().unsqueeze(0)
        is_finite, *numbers = torch.cat([finite, sums, averages]).tolist()
        if not is_finite:
            self._raise_not_finite(steps)
        metrics = episode_metrics(dict(zip(self._sums, numbers[: len(sums)], strict=True)))
        return metrics | dict(zip(means, numbers[len(sums) :], strict=True))

    def _metric_name(self, name: str) -> str:
        if name.startswith("loss_"):
            return f"loss/{name.removeprefix('loss_')}"
        return f"{self.diagnostics}/{name}"

    def _clock(self) -> dict[str, float]:
        seconds = time.perf_counter() - self.started_at
        self.wall_s += seconds
        return {
            "time/wall_s": self.wall_s,
            "time/frames_per_s": (self.frames - self._frames_before) / seconds,
            "time/collect_share": (self.collected_at - self.started_at) / seconds,
        }

    def _raise_not_finite(self, steps: Tensor) -> None:
        """Name the first number in `steps` `[steps, terms]` that is not finite."""
        row, column = (~torch.isfinite(steps)).nonzero()[0].tolist()
        name = [*self._step_names, "gradient norm"][column]
        step = self.global_step - len(steps) + row + 1
        raise UsageError(
            f"{name} became {steps[row, column].item()} at optimiser step {step} "
            f"(iteration {self.current_epoch + 1}, {self.frames} frames); the last good checkpoint "
            "is kept. Try a smaller lr, or check the rewards for NaN"
        )

    # ------------------------------------------------------------------ checkpoints
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        more = self.state_of_rank()
        if self.elsewhere is None:
            more |= saved_states(self.hidden)
        else:
            more["workers"] = self.worker_states
        checkpoint["ilvf"] = {
            "config": self.config,
            "actor": arguments_of(self.loss.actor),
            "run": getattr(self.logger, "run_id", None),
            "wall_s": self.wall_s,
            "state": save_run_state(
                self.env,
                self.frames,
                checksum_of(self.state_dict()),
                saves=saves_states(self.env),
                **more,
            ),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.wall_s = checkpoint["ilvf"]["wall_s"]
        self.pending = checkpoint["ilvf"]["state"]
