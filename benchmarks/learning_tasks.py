"""The tasks of `learning.py`: environments, arguments of the recipes, reference policies, tests."""

from dataclasses import dataclass, field
from typing import Any

PLATOON = {"name": "cacc", "collision_rule": "pay_to_horizon", "action_repeat": 5}
PLATOON_ARGUMENTS = (
    "algorithm.rollout_steps=120",
    "algorithm.entropy=0.001",
    "algorithm.lr=2.0e-3",
    "algorithm.lr_end=0.0",
    "trainer.max_epochs=80",
)
PLATOON_RULES = ("random", "constant", "linear")
PLATOON_SHOWN = ("cost_to_bound", "headway_error", "speed_error", "acceleration", "jerk")
GRID = {"name": "large_grid", "seconds": 1800}
GRID_ARGUMENTS = (
    "algorithm.num_envs=4",
    "algorithm.rollout_steps=180",
    "algorithm.eval_episodes=2",
    "algorithm.eval_every=25",
    "algorithm.input_norm=none",
    "algorithm.entropy=0.001",
    "algorithm.lr_end=0.0",
)
GRID_RULES = ("random", "fixed_cycle", "greedy", "max_pressure")
GRID_SHOWN = ("return", "queue", "speed", "travel_time", "throughput", "backlog")


@dataclass(frozen=True)
class Test:
    """The episodes of one table.

    Attributes:
        title: heading of the table.
        deterministic: episodes of a policy that takes the most likely actions.
        sampled: episodes of a policy that samples.
        env: options that differ from those of the task.
    """

    title: str
    deterministic: int
    sampled: int
    env: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """What is trained and how it is tested.

    Attributes:
        env: the environment's name and options.
        arguments: of the recipe.
        metric: drawn over the frames.
        rules: reference policies that bound the learned ones.
        shown: columns of the tables, metrics of an evaluation.
        tests: one table each.
    """

    env: dict[str, Any]
    arguments: tuple[str, ...]
    metric: str
    rules: tuple[str, ...]
    shown: tuple[str, ...]
    tests: tuple[Test, ...]


PLATOON_TEST = Test(
    "six fixed starts, ten times each if actions are sampled", 6, 60, {"ratio": "evaluation"}
)
HALF_HOUR = Test("eight times the first half hour", 8, 8)
HOUR = Test("four times the hour", 4, 4, {"seconds": 3600})
TASKS = {
    "catch-up": Task(
        env={**PLATOON, "scenario": "catch-up"},
        arguments=PLATOON_ARGUMENTS,
        metric="episode/cost_to_bound",
        rules=PLATOON_RULES,
        shown=PLATOON_SHOWN,
        tests=(PLATOON_TEST,),
    ),
    "slow-down": Task(
        env={**PLATOON, "scenario": "slow-down"},
        arguments=(*PLATOON_ARGUMENTS, "algorithm.input_norm=none", "algorithm.share=true"),
        metric="episode/cost_to_bound",
        rules=PLATOON_RULES,
        shown=PLATOON_SHOWN,
        tests=(PLATOON_TEST,),
    ),
    "capture_prey": Task(
        env={"name": "capture_prey"},
        arguments=("algorithm.rollout_steps=80", "algorithm.lr_end=0.0", "trainer.max_epochs=50"),
        metric="return/team",
        rules=("random", "seek"),
        shown=("return", "success", "captured", "length"),
        tests=(Test("200 hunts", 200, 200),),
    ),
    "large_grid": Task(
        env=GRID,
        arguments=(*GRID_ARGUMENTS, "trainer.max_epochs=100"),
        metric="return/team",
        rules=GRID_RULES,
        shown=GRID_SHOWN,
        tests=(HALF_HOUR, HOUR),
    ),
    "large_grid-backlog": Task(
        env={**GRID, "reward_backlog": True},
        arguments=(*GRID_ARGUMENTS, "trainer.max_epochs=50"),
        metric="return/team",
        rules=GRID_RULES,
        shown=GRID_SHOWN,
        tests=(HALF_HOUR,),
    ),
}
