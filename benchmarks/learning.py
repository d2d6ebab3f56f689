"""Learning on platoons and predators: ILVF-P, MAPPO and IPPO-C on paired seeds, between floors and a ceiling.

python benchmarks/learning.py                        all tasks, seeds 0-2; about an hour and a half on two cores
python benchmarks/learning.py --tasks catch-up --seeds 0-4
python benchmarks/learning.py --report               the tables and figures of what has finished, and nothing else

Every task has an MLflow store of its own below `--out`. What has finished there is not run again, so that it can be
stopped and continued. Platoons decide every 0.5 s (action_repeat=5) and pay for a collision to the horizon
(collision_rule=pay_to_horizon), in training and in every figure of these tables.
"""

import argparse
import subprocess
from dataclasses import dataclass
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
class Task:
    """env: of the run; arguments: of the recipe; metric: of the curve; rules: floors and ceilings; shown: columns."""

    env: dict[str, Any]
    arguments: tuple[str, ...]
    metric: str
    rules: tuple[str, ...]
    shown: tuple[str, ...]


PLATOON_SHOWN = ("cost_to_bound", "headway_error", "speed_error", "acceleration", "jerk")
TASKS = {
    "catch-up": Task(
        {**PLATOON, "scenario": "catch-up"},
        (*PLATOON_LEARNS, "trainer.max_epochs=80"),
        "episode/cost_to_bound",
        ("random", "constant", "linear"),
        PLATOON_SHOWN,
    ),
    "slow-down": Task(
        {**PLATOON, "scenario": "slow-down"},
        (*PLATOON_LEARNS, "algorithm.input_norm=none", "algorithm.share=true", "trainer.max_epochs=80"),
        "episode/cost_to_bound",
        ("random", "constant", "linear"),
        PLATOON_SHOWN,
    ),
    "capture_prey": Task(
        {"name": "capture_prey"},
        ("algorithm.rollout_steps=80", "algorithm.lr_end=0.0", "trainer.max_epochs=50"),
        "return/team",
        ("random", "seek"),
        ("return", "success", "captured", "length"),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--seeds", default="0-2")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "learning")
    parser.add_argument("--report", action="store_true", help="run nothing")
    args = parser.parse_args()
    from ilvf.seeds import parse_seeds

    for name in args.tasks:
        task, out = TASKS[name], args.out / name
        for recipe, *options in VARIANTS:
            done = finished(out, task.env["name"], VARIANTS, recipe, options)
            missing = [s for s in parse_seeds(args.seeds) if s not in done]
            if missing and not args.report:
                print(name, recipe, *options, f"seeds {missing}", flush=True)
                subprocess.run(command(recipe, *options, *arguments(task, out, missing)), check=True)
        subprocess.run(command("compare", *comparison(task, out)), check=True)
        print(f"\n{table(task, out)}\n", flush=True)


def arguments(task: Task, out: Path, seeds: list[int]) -> list[str]:
    rest = [f"env.{k}={v}" for k, v in task.env.items() if k != "name"]
    return [
        f"env={task.env['name']}",
        *rest,
        *task.arguments,
        *COMMON,
        f"seeds={','.join(map(str, seeds))}",
        f"out={out}",
    ]


def comparison(task: Task, out: Path) -> list[str]:
    keys = (f"compare.experiment={task.env['name']}", f"compare.metric={task.metric}", "compare.baseline=mappo")
    return [f"out={out}", *keys, f"compare.picture={out / 'curves.png'}"]


# ---------------------------------------------------------------------- the policies at the end
def table(task: Task, out: Path) -> str:
    """Every policy's evaluation as a markdown table; learned ones mean ± sd over seeds."""
    rows = {}
    for rule in task.rules:
        rows[rule] = [[v] for v in figures(task, rule_policy(task, rule), deterministic=True).values()]
    for recipe, *options in VARIANTS:
        runs = finished(out, task.env["name"], VARIANTS, recipe, options)
        actors = [trained(out, run) for _, run in sorted(runs.items())]
        for greedy in (True, False):
            found = [list(figures(task, a, deterministic=greedy).values()) for a in actors]
            if found:
                name = " ".join([recipe, *(o.partition(".")[2] for o in options)])
                rows[f"{name}, {'greedy' if greedy else 'sampled'}"] = [
                    list(column) for column in zip(*found, strict=True)
                ]
    head = ["policy", *figures_of(task)]
    lines = [head, ["---"] * len(head), *([label, *map(shown, cells)] for label, cells in rows.items())]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def shown(values: list[float]) -> str:
    import statistics

    mean = statistics.fmean(values)
    return f"{mean:.2f}" if len(values) == 1 else f"{mean:.2f} ± {statistics.stdev(values):.2f}"


def figures_of(task: Task) -> list[str]:
    return [*task.shown, "collisions of 50"] if task.env["name"] == "cacc" else list(task.shown)


def figures(task: Task, policy: Any, *, deterministic: bool) -> dict[str, float]:
    """The six fixed starts (ten times each if actions are sampled), and collisions from 50 drawn ones; 200 hunts."""
    platoon = task.env["name"] == "cacc"
    episodes, extra = ((6 if deterministic else 60), {"ratio": "evaluation"}) if platoon else (200, {})
    found = play(task, policy, deterministic, episodes, **extra)
    values = {k: found["return/team" if k == "return" else f"episode/{k}"] for k in task.shown}
    if platoon:
        values["collisions of 50"] = 50 * play(task, policy, deterministic, 50)["episode/collision"]
    return values


def play(task: Task, policy: Any, deterministic: bool, episodes: int, **extra: Any) -> dict[str, float]:
    import torch

    from ilvf.envs import make_env
    from ilvf.evaluation import evaluate

    torch.manual_seed(0)
    env = make_env(num_envs=episodes, seed=12345, **task.env, **extra).eval()
    return evaluate(env, policy, max_steps=env.horizon, deterministic=deterministic)[0]


def rule_policy(task: Task, name: str) -> Any:
    from ilvf.envs import make_env
    from ilvf.modules import RandomActor

    env = make_env(**task.env)
    return RandomActor(env.n_actions, masked=env.masked) if name == "random" else env.rules[name]()


def trained(out: Path, run_id: str) -> Any:
    """The actor at the end of a run."""
    from mlflow.tracking import MlflowClient

    from ilvf.checkpoint import actor_of, read_checkpoint

    client = MlflowClient(f"sqlite:///{out / 'mlflow.db'}")
    return actor_of(read_checkpoint(Path(client.download_artifacts(run_id, "checkpoints/last.ckpt"))))


if __name__ == "__main__":
    main()
