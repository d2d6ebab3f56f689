"""What each influence omits of the policy gradient, and what variance it saves: the audit.

python benchmarks/score_audit.py                          all tasks, core-hours; one csv row a Ŵ
python benchmarks/score_audit.py --only encircle-10 --seeds 10-12
python benchmarks/score_audit.py --report                 the table of the csv file only

Each algorithm trains a team of its own, with the settings of the studies. The audit changes single
actions in states that the team visits, and measures all returns. Against it are held the influence
of the algorithm, and, for the same team, the reward graph (if it has one), Ŵ = 1 and Ŵ = I, and on
the grid the neighbours. On
slow-down the states are those at three moments. Rows that the csv file has are not made again.

On the grid of traffic signals a return is a minute. What every signal does to every other one is
kept in a second file, and `python benchmarks/score_effects.py` draws it.

The mean squared error of the gradient in a state, estimated from S samples of it, is the squared
norm of what Ŵ omits plus the variance over S. The table gives it for S = 1000, as a fraction of
that of Ŵ = 1, which omits nothing:  variance + S (1 − variance) / break-even.
"""

import csv
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from common import argument_parser
from ilvf.analysis import Audit, audit, visited_states
from ilvf.analysis.states import states_at
from ilvf.analysis.stepping import State
from ilvf.commands.audit import learned_influence
from ilvf.experiment.build import build, environment_factory
from ilvf.experiment.config import resolve
from ilvf.experiment.options import training_schema
from ilvf.experiment.seeds import parse_seeds
from ilvf.options import text_of
from ilvf.studies.tasks import task_content
from score_effects import write_effects
from training import quiet_trainer, without_evaluation

RESULTS = Path(__file__).parent / "results" / "score_audit.csv"
ALGORITHMS = {
    "ILVF-S": "ilvf_s",
    "ILVF-P (threshold)": "ilvf_p",
    "PRD": "prd",
}
KEY = ("task", "algorithm", "seed", "moment")
SAMPLES = 1000  # S
MOST_BIAS = 100  # an interval above it is that of a team without a gradient
NUMBERS = ("bias", "bias_low", "bias_high", "variance", "break_even")


@dataclass(frozen=True)
class AuditedTask:
    """A team, and how much is measured of it.

    Attributes:
        arguments: of the recipe.
        iterations: of training.
        states: audited states of each moment.
        repeats: futures of every joint action.
        moments: steps of the episode; empty for states of the whole episode.
        actions: joint first actions in every state.
        steps: length of a return; None for an episode.
        rows: environments that are stepped at once.
    """

    arguments: tuple[str, ...]
    iterations: int
    states: int = 64
    repeats: int = 8
    moments: tuple[int, ...] = ()
    actions: int = 4
    steps: int | None = None
    rows: int = 1024


def arguments_of(name: str) -> tuple[str, ...]:
    """The arguments of a task of the studies, whose learning rate does not fall here."""
    task = task_content(name)
    keys = {key: value for key, value in task["keys"].items() if key != "algorithm.lr_end"}
    return f"env={task['env']}", *(f"{key}={text_of(value)}" for key, value in keys.items())


TASKS = {
    "encircle-10": AuditedTask(("env.n_agents=10",), 31),
    "encircle-20": AuditedTask(("env.n_agents=20",), 31),
    "encircle-50": AuditedTask(("env.n_agents=50",), 31, states=32, repeats=4),
    "slow-down": AuditedTask(arguments_of("slow-down"), 30, states=32, moments=(0, 50, 100)),
    "prey": AuditedTask(arguments_of("predators"), 50),
    "grid": AuditedTask(
        (*arguments_of("large-grid"), "env.lane_noise=true"),
        15,
        states=8,
        repeats=2,
        actions=2,
        steps=12,
        rows=16,
    ),
}


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--only", nargs="*", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--seeds", default="10")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--report", action="store_true", help="run nothing")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    rows = read(args.out)
    done = {(row["task"], row["algorithm"], row["seed"]) for row in rows}
    for seed in [] if args.report else parse_seeds(args.seeds):
        for name in args.only:
            for title, recipe in ALGORITHMS.items():
                if (name, title, str(seed)) not in done:
                    rows += audited(name, title, recipe, seed, effects_of(args.out))
                    write(args.out, rows)
    print("\n".join(table(rows)))


def effects_of(table: Path) -> Path:
    """The second file, beside the table."""
    return table.with_name(f"{table.stem}_effects.csv")


def audited(name: str, title: str, recipe: str, seed: int, effects: Path) -> list[dict[str, str]]:
    """Train a team, audit it, and compare every Ŵ with what was measured."""
    task = TASKS[name]
    print(f"{name}, {title}, seed {seed}", flush=True)
    alone = ("algorithm.supervision=0",) if recipe == "ilvf_p" else ()
    arguments = (*task.arguments, *alone, f"seed={seed}", "algorithm.eval_every=100000")
    config = resolve(training_schema(recipe), list(arguments))
    module = build(config)
    without_evaluation()
    quiet_trainer(task.iterations).fit(module)
    make_env = environment_factory(config, seed=seed)
    rows = []
    for moment, env, states in moments_of(task, make_env, module.loss.actor, seed):
        found = audit(
            make_env(num_envs=min(task.rows, task.states * task.actions * task.repeats)),
            module.loss.actor,
            states,
            actions=task.actions,
            repeats=task.repeats,
            steps=task.steps,
            gamma=config.algorithm.gamma,
            seed=seed,
            progress=False,
        )
        weight, own = learned_influence(module, env, states)
        if hasattr(env, "network"):
            write_effects(effects, (title, str(seed)), found, env.network, weight, own)
        for influence, matrix in influences(title, own, env).items():
            key = dict(zip(KEY, (name, title, str(seed), moment), strict=True))
            rows.append({**key, "influence": influence, **numbers(found, matrix)})
    return rows


def moments_of(
    task: AuditedTask, make_env: Any, actor: Any, seed: int
) -> Iterator[tuple[str, Any, State]]:
    """(name of the moment, environments, their states)."""
    if not task.moments:
        env = make_env(num_envs=task.states)
        yield "episode", env, visited_states(env, actor, seed=seed)
    for step in task.moments:
        env = make_env(num_envs=task.states)
        yield f"step {step}", env, states_at(env, actor, [step], seed=seed)[step]


def influences(title: str, own: Tensor, env: Any) -> dict[str, Tensor]:
    """Every Ŵ that is compared, `[N, N]` or `[K, N, N]`."""
    n = own.shape[-1]
    found = {title: own}
    if hasattr(env, "reward_graph"):
        found["reward graph"] = env.reward_graph.T.float()
    if hasattr(env, "network"):
        found["neighbours"] = (env.neighbours | torch.eye(n).bool()).float()
    return {**found, "identity": torch.eye(n), "ones": torch.ones(n, n)}


def numbers(found: Audit, matrix: Tensor) -> dict[str, str]:
    """Bias, variance and break-even of a Ŵ, as they are written."""
    cost = found.cost(matrix)
    return {name: f"{cost[name]:.4g}" for name in NUMBERS}


# ---------------------------------------------------------------------- csv file, table
def read(path: Path) -> list[dict[str, str]]:
    """The rows of the csv file; none if it does not exist."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[dict[str, str]]) -> None:
    """The rows as a csv file."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*KEY, "influence", *NUMBERS])
        writer.writeheader()
        writer.writerows(rows)


def table(rows: list[dict[str, str]]) -> Iterator[str]:
    """The lines of a Markdown table; the last two columns are of the team of the first one."""
    cells = {tuple(row[key] for key in (*KEY, "influence")): cell(row) for row in rows}
    titles = list(ALGORITHMS)
    others = ["reward graph", "identity"]
    yield "| team | " + " | ".join([*titles, *others]) + " |"
    yield "|---" * (1 + len(titles) + len(others)) + "|"
    teams = dict.fromkeys((row["task"], row["seed"], row["moment"]) for row in rows)
    for task, seed, moment in teams:
        keys = [(task, title, seed, moment, title) for title in titles]
        keys += [(task, titles[0], seed, moment, other) for other in others]
        found = [cells.get(key, "–") for key in keys]
        yield f"| {task}, {moment}, seed {seed} | " + " | ".join(found) + " |"


def cell(row: dict[str, str]) -> str:
    """Bias with its interval, variance, error."""
    bias, low, high, variance, even = (float(row[name]) for name in NUMBERS)
    error = 1 if even == 0 else variance + SAMPLES * (1 - variance) / even
    most = f"{high:.2f}" if high < MOST_BIAS else "∞"
    return f"{bias:.2f} [{low:.2f}, {most}], {variance:.2f}, {error:.2f}"


if __name__ == "__main__":
    main()
