"""Put a trained team into the zoo of the package, with the scores of a fresh evaluation.

python tools/add_to_zoo.py predators runs/studies/beyond-cpu/predator-capture-prey_ilvf-s_s10
python tools/add_to_zoo.py NAME RUN eval_episodes=1 eval_deterministic=false

The run's folder must be that of a study, whose `runs.csv` has its command and commit. The scores
are those of `ilvf evaluate checkpoint=zoo:NAME seed=S` with eight seeds S from 1000 on. How many
episodes each of them has, and how it acts, are the run's own keys of `algorithm.eval_*`, or those
given here: the team keeps them. The tests play the episodes of one seed, so they should take
seconds.
"""

import csv
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ilvf.checkpoints.files import read_checkpoint
from ilvf.checkpoints.policy import actor_of
from ilvf.checkpoints.zoo import FOLDER, LIST, actor_only
from ilvf.commands.evaluate import EpisodeOptions
from ilvf.data.evaluation import evaluate, evaluation_seed
from ilvf.envs import make_env
from ilvf.errors import require, run_recipe
from ilvf.modules.actors.tempered import tempered
from ilvf.options import configure, parse_yaml

SEED = 1000
BATCHES = 8


def main() -> None:
    """Put the run of the command line into the zoo."""
    require(
        len(sys.argv) >= 3, "give a name and a run's folder: add_to_zoo.py NAME RUN [KEY=VALUE ...]"
    )
    name, run = sys.argv[1], Path(sys.argv[2])
    whole = read_checkpoint(run / "checkpoints" / "last.ckpt")
    record = record_of(run, whole["ilvf"]["run"])
    content = actor_only(whole)
    config = content["ilvf"]["config"]
    config["algorithm"] = {**config["algorithm"], **changes(sys.argv[3:])}
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.ckpt"
    torch.save(content, path)
    entry = {
        "task": config["env"],
        "algorithm": record["algorithm"],
        "seed": config["seed"],
        "frames": content["ilvf"]["state"]["frames"],
        "commit": record["commit"],
        "command": record["command"],
        **scores_of(path),
    }
    known = json.loads(LIST.read_text()) if LIST.exists() else {}
    known[name] = entry
    LIST.write_text(json.dumps(dict(sorted(known.items())), indent=2, ensure_ascii=False) + "\n")
    print(f"{path}: {path.stat().st_size / 1024:.0f} KiB, {entry['scores']['return/team']}")


def changes(words: Sequence[str]) -> dict[str, Any]:
    """The options of evaluations in `KEY=VALUE`, checked."""
    pairs = [word.partition("=") for word in words]
    given = {name: parse_yaml(name, text) for name, _, text in pairs}
    configure(EpisodeOptions, given, "add_to_zoo.py")
    return given


def record_of(run: Path, run_id: str) -> dict[str, str]:
    """The row of a run in the study's `runs.csv`."""
    table = run.parent / "runs.csv"
    require(table.exists(), f"{run} is no run of a study: there is no {table}")
    with table.open() as file:
        rows = [row for row in csv.DictReader(file) if row["run_id"] == run_id]
    require(bool(rows), f"{table} does not have the run {run_id}")
    return rows[0]


def scores_of(path: Path) -> dict[str, Any]:
    """Number of episodes, and metric → mean and standard deviation over the batches."""
    batches = [scores_of_seed(path, seed) for seed in range(SEED, SEED + BATCHES)]
    scores = {}
    for name in batches[0]:
        values = [metrics[name] for metrics in batches]
        scores[name] = {"mean": statistics.mean(values), "sd": statistics.stdev(values)}
    episodes = options_of(read_checkpoint(path)).eval_episodes
    return {"episodes": BATCHES * episodes, "scores": scores}


def scores_of_seed(path: Path, seed: int) -> dict[str, float]:
    """The metrics of `ilvf evaluate checkpoint=PATH seed=SEED`."""
    content = read_checkpoint(path)
    options = options_of(content)
    task = content["ilvf"]["config"]["env"]
    env = make_env(**task, num_envs=options.eval_episodes, seed=evaluation_seed(seed)).eval()
    try:
        metrics, _ = evaluate(
            env,
            tempered(actor_of(content, path), options.eval_temperature),
            max_steps=options.eval_steps or env.horizon,
            deterministic=options.eval_deterministic,
            seed=evaluation_seed(seed),
        )
    finally:
        env.close()
    return metrics


def options_of(content: Mapping[str, Any]) -> EpisodeOptions:
    """The options of evaluations that a checkpoint has."""
    saved = content["ilvf"]["config"]["algorithm"]
    known = EpisodeOptions.__dataclass_fields__.keys() & saved.keys()
    return EpisodeOptions(**{name: saved[name] for name in known})


if __name__ == "__main__":
    run_recipe(main)
