"""Sampled, sharpened and most likely actions of trained teams.

python benchmarks/temperatures.py RUN... --metric return/team --episodes 60 [--args KEY=VALUE...]

For each temperature T of the policies π^(1/T): the metric in the same episodes, how often an agent
changes its action from one step to the next, and how many steps it keeps one at most (mean over
agents and episodes). T = 0 is the most likely actions. Means over the runs, which must be of one
task; one row a run and temperature is appended to --raw.
"""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from common import argument_parser
from ilvf.checkpoints.files import find_checkpoint
from ilvf.commands.evaluate import SCHEMA, trained_actor
from ilvf.data.evaluation import evaluate, evaluation_seed
from ilvf.errors import require, run_recipe
from ilvf.experiment.build import environment_factory
from ilvf.experiment.command_line import command_line
from ilvf.modules.actors.tempered import tempered
from ilvf.reports.tables import table as markdown

TEMPERATURES = (1.0, 0.7, 0.5, 0.35, 0.2, 0.0)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("runs", nargs="+", help="folders of runs; their last checkpoint is taken")
    parser.add_argument("--metric", default="return/team")
    parser.add_argument("--episodes", type=int, default=60)
    parser.add_argument("--temperatures", nargs="*", type=float, default=TEMPERATURES)
    parser.add_argument("--raw", type=Path, help="a CSV file for all rows")
    parser.add_argument("--args", nargs="*", default=[], help="keys of the environment")
    args = parser.parse_args()
    rows = pd.DataFrame([row for run in args.runs for row in rows_of(run, args)])
    if args.raw is not None:
        rows.to_csv(args.raw, mode="a", header=not args.raw.exists(), index=False)
    means = rows.drop(columns=["run"]).groupby("T", sort=False).mean()
    lines = [[f"{T:g}", *(f"{x:.3f}" for x in values)] for T, values in means.iterrows()]
    print(markdown(["T", *means.columns], lines))


def rows_of(run: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """The measurements of a run at all temperatures."""
    path = find_checkpoint(run, Path("runs"), prefer="last")
    words = [f"checkpoint={path}", f"algorithm.eval_episodes={args.episodes}", *args.args]
    make_env = environment_factory(command_line(SCHEMA, words))
    seed = evaluation_seed(0)
    rows = []
    for temperature in args.temperatures:
        env = make_env(num_envs=args.episodes, seed=seed).eval()  # anew: the same episodes
        policy = tempered(trained_actor(env, path), temperature or 1.0)
        likely = temperature == 0
        found, rollout = evaluate(
            env, policy, max_steps=env.horizon, deterministic=likely, seed=seed
        )
        require(args.metric in found, f"--metric {args.metric} is not one of {', '.join(found)}")
        changes, longest = stretches(rollout["agents", "action"])
        rows.append(
            {
                "run": Path(run).name,
                "T": temperature,
                args.metric: found[args.metric],
                "changes": changes,
                "longest": longest,
            }
        )
        env.close()
    return rows


def stretches(action: Tensor) -> tuple[float, float]:
    """Share of steps with another action than the last, and longest stretch with the same one.

    Args:
        action: `[B, T, N]`.
    """
    same = action[:, 1:] == action[:, :-1]
    length = torch.zeros_like(action[:, 0])
    longest = length
    for step in same.unbind(1):
        length = (length + 1) * step
        longest = torch.maximum(longest, length)
    return 1 - same.double().mean().item(), longest.double().mean().item() + 1


if __name__ == "__main__":
    run_recipe(main)
