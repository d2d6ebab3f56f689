"""Options of all algorithms, and of the on-policy and the off-policy ones."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from ilvf.errors import require
from ilvf.losses.options import PPOOptions
from ilvf.modules.options import GaussianOptions, ImageOptions, PolicyOptions, SetOptions
from ilvf.options import Options, option


def check_temperature(temperature: float, deterministic: bool | None, prefix: str = "") -> None:
    """Raise if the most likely actions, which no temperature changes, are to have one.

    Args:
        prefix: of the names of both options.
    """
    require(
        temperature == 1 or not deterministic,
        f"{prefix}temperature={temperature:g} is for sampled actions; "
        f"give {prefix}deterministic=false too",
    )


@dataclass
class TrainingOptions(Options):
    """The optimiser, the environments and the evaluation."""

    lr: float = option(1e-3, "learning rate of Adam; the paper's is 8e-5", above=0)
    lr_end: float | None = option(
        None, "learning rate of the last iteration, approached linearly; null keeps lr", least=0
    )
    adam_eps: float = option(1e-5, "ε in Adam's denominator", above=0)
    max_grad_norm: float = option(10.0, "clip of the gradient's norm, per agent", above=0)
    num_envs: int = option(64, "environments per process", least=1)
    rollout_steps: int = option(50, "steps of each environment per iteration", least=1)
    chunk: int = option(
        10, "recurrent: steps through which gradients flow, a part of rollout_steps", least=1
    )
    eval_every: int = option(
        10, "iterations between evaluations; the last is evaluated too", least=1
    )
    eval_episodes: int = option(32, "episodes of an evaluation, run side by side", least=1)
    eval_steps: int | None = option(
        None, "longest evaluation episode, by default the environment's horizon", least=1
    )
    eval_deterministic: bool = option(True, "evaluate the most likely actions; false samples")

    def frames_of(self, iterations: int) -> int:
        """Environment frames of a run of one process."""
        return iterations * self.num_envs * self.rollout_steps

    def check(self) -> None:
        super().check()
        require(
            self.lr_end is None or self.lr_end <= self.lr,
            f"lr_end={self.lr_end} must be between 0 and lr={self.lr}, or null",
        )

    def check_chunks(self) -> None:
        """What recurrent networks need besides: rollouts that consist of whole chunks."""
        steps = self.rollout_steps
        require(
            steps % self.chunk == 0,
            f"chunk={self.chunk} does not divide rollout_steps={steps}, which recurrent networks "
            "need; choose another chunk",
        )


@dataclass
class OnPolicyOptions(PPOOptions, TrainingOptions):
    """PPO with per-agent values."""

    normalize: Literal["agent", "global", "none"] = option(
        "agent", "standardise advantages once per rollout: per agent, over all agents, or not"
    )
    gamma: float = option(0.99, "discount", least=0, most=1)
    lmbda: float = option(0.95, "λ of GAE", least=0, most=1)
    value_norm: bool = option(True, "normalise value targets per agent")
    min_variance: float = option(
        1e-6, "floor of the value targets' variance (official MAPPO: 1e-2)", above=0
    )
    epochs: int = option(5, "passes over a rollout", least=1)
    minibatches: int = option(4, "minibatches of each pass", least=1)
    eval_temperature: float = option(
        1.0,
        "temperature T of sampled actions, π^(1/T); below 1 is more certain, 1 the policy itself",
        above=0,
    )

    def check(self) -> None:
        super().check()
        check_temperature(self.eval_temperature, self.eval_deterministic, "eval_")
        frames = self.num_envs * self.rollout_steps
        require(
            self.minibatches <= frames,
            f"minibatches={self.minibatches} is more than the {frames} frames of a rollout",
        )

    def check_chunks(self) -> None:
        super().check_chunks()
        chunks = self.num_envs * self.rollout_steps // self.chunk
        require(
            self.minibatches <= chunks,
            f"minibatches={self.minibatches} is more than the {chunks} chunks of a rollout",
        )


@dataclass
class ShareOptions(Options):
    """Which part of the team's reward an agent gets."""

    reward: Literal["own", "team", "split"] = option(
        "own",
        "what an agent gets: its own reward; team: an equal share of the sum of all; split: its "
        "part of this sum, by a learned model (not in the paper)",
    )


@dataclass
class SharingOptions(ShareOptions, OnPolicyOptions):
    """PPO whose agents have returns of their own."""


@dataclass
class OffPolicyOptions(TrainingOptions):
    """Learning from a replay buffer."""

    num_envs: int = option(16, "environments per process", least=1)
    tau: float = option(
        0.01,
        "share by which targets follow after every step, if target_every is null",
        above=0,
        most=1,
    )
    target_every: int | None = option(
        None, "optimiser steps between copies of the networks into their targets", least=1
    )
    updates: int = option(40, "optimiser steps of an iteration", least=1)
    batch_size: int = option(
        256,
        "transitions of each step, per process; recurrent: rounded up to whole chunks",
        least=1,
    )
    capacity: int = option(50_000, "transitions in the replay buffer, per process", least=1)
    warmup: int = option(1_600, "frames with random actions before learning", least=0)

    def check(self) -> None:
        super().check()
        need = max(self.num_envs * self.rollout_steps, self.batch_size)
        require(
            self.capacity >= need,
            f"capacity={self.capacity} is too small for a rollout and a minibatch; it needs {need}",
        )

    def frames_of(self, iterations: int) -> int:
        """Those of the iterations, and before them the rollouts of random actions.

        These fill the buffer with `warmup` frames, and with so many that the first iteration's
        rollout completes a minibatch.
        """
        rollout = self.num_envs * self.rollout_steps
        needed = max(self.warmup, self.batch_size - rollout, 0)
        return super().frames_of(iterations + -(-needed // rollout))


@dataclass
class AlgorithmConfig(SetOptions, ImageOptions, PolicyOptions, TrainingOptions):
    """What the config of every algorithm has."""

    iterations: ClassVar[int]  # default of trainer.max_epochs
    continuous: ClassVar[bool] = True  # takes continuous actions too
    several: ClassVar[bool] = True  # takes actions of several choices too
    title: ClassVar[str]  # name in figures and tables
    source: ClassVar[str] = ""  # where it is explained, for descriptions in MLflow
    declared: ClassVar[str]  # its name
    builder: ClassVar[str]  # "module:function" that builds it


@dataclass
class OnPolicyConfig(OnPolicyOptions, AlgorithmConfig):
    """One epoch is num_envs × rollout_steps frames per process; the default is 100 k frames."""

    iterations = 31


@dataclass
class PolicyConfig(GaussianOptions, ShareOptions, OnPolicyConfig):
    """On-policy algorithms that take all kinds of actions."""


@dataclass
class OffPolicyConfig(OffPolicyOptions, AlgorithmConfig):
    """One epoch is num_envs × rollout_steps frames per process; the default is 100 k frames."""

    iterations = 123
