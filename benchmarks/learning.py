"""Learning on platoons, predators and traffic: ILVF-P, MAPPO and IPPO-C on paired seeds, between floors and a ceiling.

python benchmarks/learning.py                        platoons and predators, seeds 0-2; 90 minutes on two cores
python benchmarks/learning.py --tasks catch-up --seeds 0-4
python benchmarks/learning.py --tasks large_grid large_grid-backlog --seeds 0-1    signals on SUMO; two hours
python benchmarks/learning.py --report               the tables and figures of what has finished, and nothing else

Every task has an MLflow store of its own below `--out`. What has finished there is not run again, so that it can be
stopped and continued. Platoons decide every 0.5 s (action_repeat=5) and pay for a collision to the horizon
(collision_rule=pay_to_horizon), in training and in every figure of these tables. Traffic is trained on the first half
hour: with the published reward, and with one that also counts the vehicles that find no room to enter.
"""

import argparse
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from baselines import COMMON, ROOT, command, finished

VARIANTS = (("ilvf_p",), ("mappo",), ("ippo", "algorithm.critic=state"))
PLATOON = {"name": "cacc", "collision_rule": "pay_to_horizon", "action_repeat": 5}
PLATOON_LEARNS = (
    "algorithm.rollout_steps=120",
    "algorithm.entropy=0.001",
    "algorithm.lr=2.0e-3",
    "algorithm.lr_end=0.0",
)


@dataclass(frozen=True)
class Test:
    """Episodes of a table: how many if actions are the most likely, or sampled, and what is changed in `Task.env`."""

    title: str
    greedy: int
    sampled: int
    env: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """env: of the run; arguments: of the recipe; metric: of the curve; rules: floors and ceilings; shown: columns."""

    env: dict[str, Any]
    arguments: tuple[str, ...]
    metric: str
    rules: tuple[str, ...]
    shown: tuple[str, ...]
    tests: tuple[Test, ...]


PLATOON_SHOWN = ("cost_to_bound", "headway_error", "speed_error", "acceleration", "jerk")
PLATOON_TESTS = (
    Test("six fixed starts, ten times each if actions are sampled", 6, 60, {"ratio": "evaluation"}),
)
GRID = {"name": "large_grid", "seconds": 1800}
GRID_LEARNS = (
    *(
        "algorithm.num_envs=4",
        "algorithm.rollout_steps=180",
        "algorithm.eval_episodes=2",
        "algorithm.eval_every=25",
    ),
    *("algorithm.input_norm=none", "algorithm.entropy=0.001", "algorithm.lr_end=0.0"),
)
GRID_RULES = ("random", "fixed_cycle", "greedy", "max_pressure")
GRID_SHOWN = ("return", "queue", "speed", "travel_time", "throughput", "backlog")
GRID_TESTS = (Test("eight times the first half hour", 8, 8),)
TASKS = {
    "catch-up": Task(
        {**PLATOON, "scenario": "catch-up"},
        (*PLATOON_LEARNS, "trainer.max_epochs=80"),
        "episode/cost_to_bound",
        ("random", "constant", "linear"),
        PLATOON_SHOWN,
        PLATOON_TESTS,
    ),
    "slow-down": Task(
        {**PLATOON, "scenario": "slow-down"},
        (
            *PLATOON_LEARNS,
            "algorithm.input_norm=none",
            "algorithm.share=true",
            "trainer.max_epochs=80",
        ),
        "episode/cost_to_bound",
        ("random", "constant", "linear"),
        PLATOON_SHOWN,
        PLATOON_TESTS,
    ),
    "capture_prey": Task(
        {"name": "capture_prey"},
        ("algorithm.rollout_steps=80", "algorithm.lr_end=0.0", "trainer.max_epochs=50"),
        "return/team",
        ("random", "seek"),
        ("return", "success", "captured", "length"),
        (Test("200 hunts", 200, 200),),
    ),
    "large_grid": Task(
        GRID,
        (*GRID_LEARNS, "trainer.max_epochs=100"),
        "return/team",
        GRID_RULES,
        GRID_SHOWN,
        (*GRID_TESTS, Test("four times the hour", 4, 4, {"seconds": 3600})),
    ),
    "large_grid-backlog": Task(
        {**GRID, "reward_backlog": True},
        (*GRID_LEARNS, "trainer.max_epochs=50"),
        "return/team",
        GRID_RULES,
        GRID_SHOWN,
        GRID_TESTS,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--tasks", nargs="*", default=[t for t in TASKS if "grid" not in t], choices=list(TASKS)
    )
    parser.add_argument("--seeds", default="0-2")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "learning")
    parser.add_argument("--report", action="store_true", help="run nothing")
    args = parser.parse_args()
    from ilvf.experiment.seeds import parse_seeds

    for name in args.tasks:
        task, out = TASKS[name], args.out / name
        for recipe, *options in VARIANTS:
            done = finished(out, task.env["name"], VARIANTS, recipe, options)
            missing = [s for s in parse_seeds(args.seeds) if s not in done]
            if missing and not args.report:
                print(name, recipe, *options, f"seeds {missing}", flush=True)
                subprocess.run(
                    command(recipe, *options, *arguments(task, out, missing)), check=True
                )
        subprocess.run(command("compare", *comparison(task, out)), check=True)
        for test in task.tests:
            print(f"\n{name}, {test.title}\n\n{table(task, test, out)}\n", flush=True)


def arguments(task: Task, out: Path, seeds: list[int]) -> list[str]:
    rest = [f"env.{k}={str(v).lower()}" for k, v in task.env.items() if k != "name"]
    return [
        f"env={task.env['name']}",
        *rest,
        *task.arguments,
        *COMMON,
        f"seeds={','.join(map(str, seeds))}",
        f"out={out}",
    ]


def comparison(task: Task, out: Path) -> list[str]:
    keys = (
        f"compare.experiment={task.env['name']}",
        f"compare.metric={task.metric}",
        "compare.baseline=mappo",
    )
    return [f"out={out}", *keys, f"compare.picture={out / 'curves.png'}"]


# ---------------------------------------------------------------------- the policies at the end
def table(task: Task, test: Test, out: Path) -> str:
    """Every policy's evaluation as a markdown table; learned ones mean ± sd over seeds."""
    rows = {}
    for rule in task.rules:
        rows[rule] = [
            [v] for v in figures(task, test, rule_policy(task, rule), deterministic=True).values()
        ]
    for recipe, *options in VARIANTS:
        runs = finished(out, task.env["name"], VARIANTS, recipe, options)
        actors = [trained(out, run) for _, run in sorted(runs.items())]
        for greedy in (True, False):
            found = [list(figures(task, test, a, deterministic=greedy).values()) for a in actors]
            if found:
                name = " ".join([recipe, *(o.partition(".")[2] for o in options)])
                rows[f"{name}, {'greedy' if greedy else 'sampled'}"] = [
                    list(column) for column in zip(*found, strict=True)
                ]
    head = ["policy", *figures_of(task)]
    lines = [
        head,
        ["---"] * len(head),
        *([label, *map(shown, cells)] for label, cells in rows.items()),
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def shown(values: list[float]) -> str:
    import statistics

    mean = statistics.fmean(values)
    style = ".2f" if abs(mean) < 1000 else ".0f"
    return (
        f"{mean:{style}}"
        if len(values) == 1
        else f"{mean:{style}} ± {statistics.stdev(values):{style}}"
    )


def figures_of(task: Task) -> list[str]:
    return [*task.shown, "collisions of 50"] if task.env["name"] == "cacc" else list(task.shown)


def figures(task: Task, test: Test, policy: Any, *, deterministic: bool) -> dict[str, float]:
    """`task.shown` over the episodes of a test; of platoons also the collisions from 50 drawn starts."""
    found = play(
        task, policy, deterministic, test.greedy if deterministic else test.sampled, **test.env
    )
    values = {k: found["return/team" if k == "return" else f"episode/{k}"] for k in task.shown}
    if task.env["name"] == "cacc":
        values["collisions of 50"] = 50 * play(task, policy, deterministic, 50)["episode/collision"]
    return values


def play(
    task: Task, policy: Any, deterministic: bool, episodes: int, **changes: Any
) -> dict[str, float]:
    import torch

    from ilvf.data.evaluation import evaluate
    from ilvf.envs import make_env

    torch.manual_seed(0)
    env = make_env(num_envs=episodes, seed=12345, **{**task.env, **changes}).eval()
    try:
        return evaluate(env, policy, max_steps=env.horizon, deterministic=deterministic)[0]
    finally:
        env.close()


def rule_policy(task: Task, name: str) -> Any:
    from ilvf.envs import make_env
    from ilvf.modules import RandomActor

    env = make_env(**task.env)
    return RandomActor(env.n_actions, masked=env.masked) if name == "random" else env.rules[name]()


def trained(out: Path, run_id: str) -> Any:
    """The actor at the end of a run."""
    from mlflow.tracking import MlflowClient

    from ilvf.checkpoints.files import read_checkpoint
    from ilvf.checkpoints.policy import actor_of

    client = MlflowClient(f"sqlite:///{out / 'mlflow.db'}")
    return actor_of(
        read_checkpoint(Path(client.download_artifacts(run_id, "checkpoints/last.ckpt")))
    )


if __name__ == "__main__":
    main()
