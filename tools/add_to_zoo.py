"""Put a trained team into the zoo of the package, with the scores of a fresh evaluation.

python tools/add_to_zoo.py predators runs/studies/beyond-cpu/predator-capture-prey_ilvf-s_s10

The run's folder must be that of a study, whose `runs.csv` has its command and commit. The scores
are those of `ilvf evaluate checkpoint=zoo:NAME seed=S` with eight seeds S from 1000 on.
"""

import csv
import json
import statistics
import sys
from pathlib import Path

import torch

from ilvf.checkpoints.files import read_checkpoint
from ilvf.checkpoints.policy import actor_of
from ilvf.checkpoints.zoo import FOLDER, LIST, actor_only
from ilvf.data.evaluation import evaluate, evaluation_seed
from ilvf.envs import make_env
from ilvf.errors import require, run_recipe

SEED = 1000
BATCHES = 8
EPISODES = 32  # of a batch


def main() -> None:
    """Put the run of the command line into the zoo."""
    require(len(sys.argv) == 3, "give a name and a run's folder: add_to_zoo.py NAME RUN")
    name, run = sys.argv[1], Path(sys.argv[2])
    whole = read_checkpoint(run / "checkpoints" / "last.ckpt")
    record = record_of(run, whole["ilvf"]["run"])
    content = actor_only(whole)
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.ckpt"
    torch.save(content, path)
    config = content["ilvf"]["config"]
    entry = {
        "task": config["env"],
        "algorithm": record["algorithm"],
        "seed": config["seed"],
        "frames": content["ilvf"]["state"]["frames"],
        "commit": record["commit"],
        "command": record["command"],
        "episodes": BATCHES * EPISODES,
        "scores": scores_of(path),
    }
    known = json.loads(LIST.read_text()) if LIST.exists() else {}
    known[name] = entry
    LIST.write_text(json.dumps(dict(sorted(known.items())), indent=2, ensure_ascii=False) + "\n")
    print(f"{path}: {path.stat().st_size / 1024:.0f} KiB, {entry['scores']['return/team']}")


def record_of(run: Path, run_id: str) -> dict[str, str]:
    """The row of a run in the study's `runs.csv`."""
    with (run.parent / "runs.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["run_id"] == run_id]
    require(bool(rows), f"{run.parent / 'runs.csv'} does not have the run {run_id}")
    return rows[0]


def scores_of(path: Path) -> dict[str, dict[str, float]]:
    """Metric → mean and standard deviation over the batches of an evaluation."""
    content = read_checkpoint(path)
    options = content["ilvf"]["config"]["env"]
    actor = actor_of(content, path)
    batches = []
    for seed in range(SEED, SEED + BATCHES):
        env = make_env(**options, num_envs=EPISODES, seed=evaluation_seed(seed)).eval()
        metrics, _ = evaluate(env, actor, max_steps=env.horizon, seed=evaluation_seed(seed))
        batches.append(metrics)
        env.close()
    scores = {}
    for name in batches[0]:
        values = [metrics[name] for metrics in batches]
        scores[name] = {"mean": statistics.mean(values), "sd": statistics.stdev(values)}
    return scores


if __name__ == "__main__":
    run_recipe(main)
