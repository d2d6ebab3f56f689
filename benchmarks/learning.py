"""Learning on platoons, predators and traffic: ILVF-P, MAPPO and IPPO-C on paired seeds.

python benchmarks/learning.py                        platoons and predators, seeds 0-2; 90 minutes
python benchmarks/learning.py --tasks catch-up --seeds 0-4
python benchmarks/learning.py --tasks large_grid large_grid-backlog --seeds 0-1      SUMO; two hours
python benchmarks/learning.py --report               tables and figures of the finished runs only

Times are for two cores. Each task has an MLflow store of its own in the folder `--out`. Finished
runs are not repeated, so a comparison can be stopped and continued.

Platoons decide every 0.5 s (action_repeat=5), and each vehicle pays for a collision until the
horizon (collision_rule=pay_to_horizon), in training and in all figures of the tables. Traffic is
trained on the first half hour: with the published reward, and with a reward that also counts the
vehicles that wait outside the network for room.
"""

import subprocess
from pathlib import Path

from common import argument_parser
from ilvf.experiment.seeds import parse_seeds
from learning_tables import table
from learning_tasks import TASKS, Task
from runs import COMMON, ROOT, Variant, command, finished

VARIANTS: tuple[Variant, ...] = (("ilvf_p",), ("mappo",), ("ippo", "algorithm.critic=state"))
DEFAULT_TASKS = [name for name in TASKS if "grid" not in name]


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--tasks", nargs="*", default=DEFAULT_TASKS, choices=list(TASKS))
    parser.add_argument("--seeds", default="0-2")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "learning")
    parser.add_argument("--report", action="store_true", help="run nothing")
    args = parser.parse_args()
    for name in args.tasks:
        task = TASKS[name]
        out = args.out / name
        if not args.report:
            train(name, task, parse_seeds(args.seeds), out)
        subprocess.run(command("compare", *comparison(task, out)), check=True)
        for test in task.tests:
            print(f"\n{name}, {test.title}\n\n{table(task, test, out, VARIANTS)}\n", flush=True)


def train(name: str, task: Task, seeds: list[int], out: Path) -> None:
    """Run all variants with the seeds that have not finished."""
    for variant in VARIANTS:
        done = finished(out, task.env["name"], VARIANTS, variant)
        missing = [seed for seed in seeds if seed not in done]
        if missing:
            print(name, *variant, f"seeds {missing}", flush=True)
            subprocess.run(command(*variant, *arguments(task, out, missing)), check=True)


def arguments(task: Task, out: Path, seeds: list[int]) -> list[str]:
    """The arguments of a recipe for a task."""
    options = {key: value for key, value in task.env.items() if key != "name"}
    return [
        f"env={task.env['name']}",
        *(f"env.{key}={str(value).lower()}" for key, value in options.items()),
        *task.arguments,
        *COMMON,
        f"seeds={','.join(map(str, seeds))}",
        f"out={out}",
    ]


def comparison(task: Task, out: Path) -> list[str]:
    """The arguments of `compare` for a task."""
    return [
        f"out={out}",
        f"compare.experiment={task.env['name']}",
        f"compare.metric={task.metric}",
        "compare.baseline=mappo",
        f"compare.picture={out / 'curves.png'}",
    ]


if __name__ == "__main__":
    main()
