"""Records of runs, their files, and the command line that makes those that are missing.

A run is a csv file of its evaluations: `frames, return, cpu_s`.
"""

import argparse
import csv
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from evaluation import EPISODES, Evaluation, Policy, greedy, random_returns
from tasks import OUT, TASKS, Settings
from torchrl.envs import EnvBase

COLUMNS = ("frames", "return", "cpu_s")
RANDOM_EPISODES = 500

Row = tuple[float, ...]


class Record:
    """The evaluations of one run.

    `cpu_s` is the CPU time of this process without the evaluations.
    """

    def __init__(self, task: str, seed: int, settings: Settings, episodes: int = EPISODES):
        self.evaluation = Evaluation(task, seed, episodes)
        self.settings = settings
        self.frames = TASKS[task].frames
        self.rows: list[Row] = []
        self.cpu_s = 0.0
        self.started = 0.0

    def after(self, iteration: int, policy: Policy) -> None:
        """Call it at the start with 0, and after every iteration."""
        if iteration:
            self.cpu_s += time.process_time() - self.started
        last = iteration == self.settings.iterations
        if last or iteration % self.settings.eval_every == 0:
            self.evaluate(iteration, policy)
        self.started = time.process_time()

    def evaluate(self, iteration: int, policy: Policy) -> None:
        returns = self.evaluation(greedy(policy))
        row = (iteration * self.frames, sum(returns) / len(returns), self.cpu_s)
        self.rows.append(row)
        print("{:9d} frames   return {:8.2f}   {:6.1f} CPU-s".format(*row), flush=True)


def csv_of(out: Path, task: str, form: str, seed: int) -> Path:
    """The file of a run."""
    return out / f"{task}.{form}.{seed}.csv"


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write a run's file and rename it at the end: a file that exists is complete."""
    part = path.with_suffix(".part")
    with part.open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    part.replace(path)


def command_line(
    description: str | None,
    run: Callable[[str, int, str], list[Row]],
    forms: Sequence[str],
    make_env: Callable[[str, int, int], EnvBase],
) -> None:
    """Run what is missing.

    Args:
        description: shown by `--help`.
        run: called with task, seed and form; returns the rows of the csv file.
        forms: the forms of the algorithm.
        make_env: called with task, number of environments and seed.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    for task in args.tasks:
        path = args.out / f"{task}.{forms[0]}.random.json"
        if not path.exists():
            env = make_env(task, RANDOM_EPISODES, 0)
            path.write_text(json.dumps(random_returns(env, TASKS[task].horizon)))
        for seed in args.seeds:
            for form in forms:
                path = csv_of(args.out, task, form, seed)
                print(path.name, "exists" if path.exists() else "", flush=True)
                if not path.exists():
                    write_csv(path, run(task, seed, form))
