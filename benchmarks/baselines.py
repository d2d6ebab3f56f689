"""Every algorithm on MPE Encircle with 20 agents, paired seeds: runs, one figure, one table.

python benchmarks/baselines.py                       seeds 0-4, about 100 k frames each; hours on two cores
python benchmarks/baselines.py --seeds 0-9 --only ilvf_p mappo
python benchmarks/baselines.py --dry                 what would run

Runs are in an MLflow store of their own (`--out`). What has finished there is not run again, so that a comparison can
be stopped and continued.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
VARIANTS = (  # recipe and arguments
    ("ilvf_p",),
    ("ilvf_p", "algorithm.discretise=bernoulli"),
    ("ilvf_p", "algorithm.influence=reward_graph"),
    ("no_inferring",),
    ("prd",),
    ("mappo",),
    ("mappo", "algorithm.critic=central"),
    ("ippo", "algorithm.critic=state"),
    ("ippo",),
    ("coma",),
    ("qmix",),
    ("maddpg",),
)
Variants = Sequence[tuple[str, ...]]
COMMON = ("trainer.threads=1", "trainer.progress=false")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", default="0-4")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "baselines")
    parser.add_argument("--only", nargs="*", help="recipes to run; all by default")
    parser.add_argument("--dry", action="store_true", help="say what would run, and stop")
    args = parser.parse_args()
    from ilvf.experiment.seeds import parse_seeds

    for recipe, *options in VARIANTS:
        if args.only and recipe not in args.only:
            continue
        missing = [
            s
            for s in parse_seeds(args.seeds)
            if s not in finished(args.out, "encircle", VARIANTS, recipe, options)
        ]
        print(recipe, *options, f"seeds {missing}" if missing else "done", flush=True)
        if missing and not args.dry:
            seeds = "seeds=" + ",".join(map(str, missing))
            subprocess.run(command(recipe, *options, *COMMON, seeds, f"out={args.out}"), check=True)
    if not args.dry:
        options = (
            "compare.baseline=mappo, critic=agents",
            f"compare.picture={args.out / 'encircle.png'}",
        )
        subprocess.run(command("compare", f"out={args.out}", *options), check=True)


def finished(
    out: Path, name: str, variants: Variants, recipe: str, options: Sequence[str]
) -> dict[int, str]:
    """Seeds of this variant that experiment `name` has finished, and the ids of their MLflow runs.

    Variants of one recipe are told from each other by all keys that any of them sets.
    """
    if not (out / "mlflow.db").exists():
        return {}
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{out / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return {}
    runs = client.search_runs(
        [experiment.experiment_id], "attributes.status = 'FINISHED'", max_results=5000
    )
    mine = dict(o.split("=") for o in options)
    others = [dict(o.split("=") for o in rest) for name, *rest in variants if name == recipe]
    plain = {key: value for other in others for key, value in other.items() if key not in mine}
    return {
        int(r.data.params["seed"]): r.info.run_id
        for r in runs
        if r.data.params.get("recipe") == recipe
        and all(r.data.params.get(k) == v for k, v in mine.items())
        and all(r.data.params.get(k) != v for k, v in plain.items())
    }


def command(recipe: str, *arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "recipes" / f"{recipe}.py"), *arguments]


if __name__ == "__main__":
    main()
