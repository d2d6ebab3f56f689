"""ILVF-P and ILVF-S inside BenchMARL, beside its own MAPPO and IPPO, on its VMAS tasks.

python benchmarks/inside_benchmarl.py --seeds 10-12      runs what is missing; hours
python benchmarks/inside_benchmarl.py --report           tables and picture alone

BenchMARL's experiments, policies and evaluation with its defaults, but 60 environments, a learning
rate of 1e-3, ten epochs of four minibatches, and one value per agent in every algorithm. The return
is that of an agent, mean over agents and 30 episodes, with the most likely actions. One row a run
and evaluation is in `benchmarks/results/inside_benchmarl.csv`.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import torch

from common import argument_parser
from ilvf.experiment.seeds import parse_seeds
from ilvf.integrations.benchmarl import IlvfPConfig, IlvfSConfig
from ilvf.reports.tables import table as markdown

# isort: split
from benchmarl.algorithms import IppoConfig, MappoConfig
from benchmarl.environments import VmasTask
from benchmarl.experiment import Callback, Experiment, ExperimentConfig
from benchmarl.models.mlp import MlpConfig

ROOT = Path(__file__).parents[1]
RAW = ROOT / "benchmarks" / "results" / "inside_benchmarl.csv"
PICTURE = ROOT / "docs" / "images" / "inside-benchmarl.png"
ALGORITHMS: dict[str, Any] = {
    "MAPPO": MappoConfig,
    "IPPO": IppoConfig,
    "ILVF-P": IlvfPConfig,
    "ILVF-S": IlvfSConfig,
}
TASKS = {
    "navigation": VmasTask.NAVIGATION,
    "balance": VmasTask.BALANCE,
    "simple_spread": VmasTask.SIMPLE_SPREAD,
}
ITERATIONS = 20
FRAMES = 6000
EVERY = 4  # iterations between evaluations
COLUMNS = ["task", "algorithm", "seed", "frames", "return", "seconds"]


class Returns(Callback):
    """Keeps the mean return of every evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, Any]] = []
        self.start = time.perf_counter()

    def on_evaluation_end(self, rollouts: list[Any]) -> None:
        returns = [r["next", "agents", "reward"].sum(0).mean() for r in rollouts]
        self.rows.append(
            {
                "frames": self.experiment.total_frames,
                "return": torch.stack(returns).mean().item(),
                "seconds": round(time.perf_counter() - self.start, 1),
            }
        )


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--seeds", default="10-12")
    parser.add_argument("--report", action="store_true", help="run nothing")
    args = parser.parse_args()
    for seed in [] if args.report else parse_seeds(args.seeds):
        for task in args.tasks:
            for name in ALGORITHMS:
                if not is_done(task, name, seed):
                    append(run(task, name, seed))
    report()


def run(task: str, name: str, seed: int) -> pd.DataFrame:
    """The evaluations of one experiment."""
    returns = Returns()
    with tempfile.TemporaryDirectory() as folder:
        Experiment(
            task=TASKS[task].get_from_yaml(),
            algorithm_config=algorithm(name),
            model_config=MlpConfig.get_from_yaml(),
            critic_model_config=MlpConfig.get_from_yaml(),
            seed=seed,
            config=settings(folder),
            callbacks=[returns],
        ).run()
    return pd.DataFrame(returns.rows).assign(task=task, algorithm=name, seed=seed)[COLUMNS]


def algorithm(name: str) -> Any:
    """The config of an algorithm, with one value per agent."""
    config = ALGORITHMS[name]
    if config not in (MappoConfig, IppoConfig):
        return config()
    found = config.get_from_yaml()
    found.share_param_critic = False
    return found


def settings(folder: str) -> ExperimentConfig:
    """BenchMARL's settings of an experiment."""
    config = ExperimentConfig.get_from_yaml()
    changes = {
        "lr": 1e-3,
        "prefer_continuous_actions": False,
        "max_n_iters": ITERATIONS,
        "max_n_frames": None,
        "on_policy_collected_frames_per_batch": FRAMES,
        "on_policy_n_envs_per_worker": 60,
        "on_policy_n_minibatch_iters": 10,
        "on_policy_minibatch_size": FRAMES // 4,
        "evaluation_interval": EVERY * FRAMES,
        "evaluation_episodes": 30,
        "render": False,
        "loggers": [],
        "create_json": True,  # without it or a logger there is no evaluation
        "save_folder": folder,
    }
    for key, value in changes.items():
        setattr(config, key, value)
    return config


def raw() -> pd.DataFrame:
    """All evaluations so far."""
    return pd.read_csv(RAW) if RAW.exists() else pd.DataFrame(columns=COLUMNS)


def is_done(task: str, name: str, seed: int) -> bool:
    """Is there a run already?"""
    rows = raw()
    same = (rows["task"] == task) & (rows["algorithm"] == name) & (rows["seed"] == seed)
    return bool(same.any())


def append(rows: pd.DataFrame) -> None:
    """Add the evaluations of a run."""
    rows.to_csv(RAW, mode="a", header=not RAW.exists(), index=False)


def report() -> None:
    """Print a table of each task that has runs, and draw the curves of all."""
    rows = raw()
    tasks = [task for task in TASKS if (rows["task"] == task).any()]
    size = (4 * len(tasks), 3.4)
    figure, axes = plt.subplots(1, len(tasks), figsize=size, layout="constrained", squeeze=False)
    for task, panel in zip(tasks, axes[0], strict=True):
        print(f"\n{task}\n")
        show(task, rows[rows["task"] == task], panel)
    axes[0, 0].set_ylabel("return of an agent")
    axes[0, 0].legend(frameon=False)
    figure.savefig(PICTURE, dpi=120)


def show(task: str, rows: pd.DataFrame, panel: Any) -> None:
    """Print the table of a task, and draw its curves: the mean, and the range of the seeds."""
    last = rows["frames"].max() * 0.8
    lines = []
    for name, found in rows.groupby("algorithm", sort=False):
        curves = found.pivot(index="frames", columns="seed", values="return")
        final = curves[curves.index > last].mean()
        seconds = found.groupby("seed")["seconds"].max().mean()
        lines.append(
            [name, str(len(final)), *map(spread, (curves.mean(), final)), f"{seconds:.0f} s"]
        )
        thousands = curves.index / 1000
        panel.plot(thousands, curves.mean(axis=1), label=name)
        panel.fill_between(thousands, curves.min(axis=1), curves.max(axis=1), alpha=0.15)
    print(markdown(["algorithm", "seeds", "whole curve", "last fifth", "time"], lines))
    panel.set(xlabel="thousand frames", title=f"VMAS {task}")


def spread(values: pd.Series) -> str:
    """Mean ± standard deviation over seeds."""
    return f"{values.mean():.3f} ± {values.std():.3f}"


if __name__ == "__main__":
    main()
