"""The tasks and hyper-parameters of both libraries."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

OUT = Path(__file__).parents[2] / "runs" / "against_benchmarl"


@dataclass(frozen=True)
class Task:
    """An environment and the size of a rollout.

    Attributes:
        world: arguments of the environment's constructor.
        horizon: steps of an episode.
        n_actions: choices of each agent.
        num_envs: environments in training.
        rollout_steps: steps of each of them per iteration.
    """

    world: dict[str, Any]
    horizon: int
    n_actions: int
    num_envs: int
    rollout_steps: int

    @property
    def frames(self) -> int:
        """Steps of the whole team per iteration."""
        return self.num_envs * self.rollout_steps


@dataclass(frozen=True)
class Settings:
    """Hyper-parameters of both libraries.

    `clip` to `max_grad_norm` are BenchMARL's defaults; so is one policy network for all agents. The
    learning rate is the best of a few, tried with BenchMARL only; see docs/results/benchmarl.md.
    """

    lr: float = 1e-3
    gamma: float = 0.99
    clip: float = 0.2
    entropy: float = 0.0
    lmbda: float = 0.9
    adam_eps: float = 1e-6
    max_grad_norm: float = 5.0
    epochs: int = 10
    minibatches: int = 4
    hidden: int = 64
    depth: int = 2
    activation: str = "tanh"
    iterations: int = 80
    eval_every: int = 4  # iterations


TASKS = {
    "simple_spread": Task(
        # local_ratio=0: the whole reward is the team's, so both libraries optimise the same
        world={"N": 3, "local_ratio": 0.0, "max_cycles": 25},
        horizon=25,
        n_actions=5,
        num_envs=100,
        rollout_steps=25,
    ),
    "balance": Task(
        world={"n_agents": 3, "max_steps": 100},
        horizon=100,
        n_actions=9,
        num_envs=120,
        rollout_steps=50,
    ),
}
