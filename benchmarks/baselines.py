"""Every algorithm on MPE Encircle with 20 agents on paired seeds: runs, one figure, one table.

python benchmarks/baselines.py                       seeds 0-4, about 100 k frames each; hours
python benchmarks/baselines.py --seeds 0-9 --only ilvf_p mappo
python benchmarks/baselines.py --dry                 list what would run

The runs have an MLflow store of their own in the folder `--out`. Finished runs are not repeated, so
a comparison can be stopped and continued.
"""

import subprocess
from pathlib import Path

from common import argument_parser
from ilvf.experiment.seeds import parse_seeds
from runs import COMMON, ROOT, Variant, command, finished

VARIANTS: tuple[Variant, ...] = (
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


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--seeds", default="0-4")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "baselines")
    parser.add_argument("--only", nargs="*", help="recipes to run; all by default")
    parser.add_argument("--dry", action="store_true", help="list what would run")
    args = parser.parse_args()
    for variant in VARIANTS:
        if args.only and variant[0] not in args.only:
            continue
        done = finished(args.out, "encircle", VARIANTS, variant)
        missing = [seed for seed in parse_seeds(args.seeds) if seed not in done]
        print(*variant, f"seeds {missing}" if missing else "done", flush=True)
        if missing and not args.dry:
            train(variant, missing, args.out)
    if not args.dry:
        compare(args.out)


def train(variant: Variant, seeds: list[int], out: Path) -> None:
    """Run a variant with these seeds."""
    listed = "seeds=" + ",".join(map(str, seeds))
    subprocess.run(command(*variant, *COMMON, listed, f"out={out}"), check=True)


def compare(out: Path) -> None:
    """Print the table and draw the figure of all runs."""
    baseline = "compare.baseline=mappo, critic=agents"
    picture = f"compare.picture={out / 'encircle.png'}"
    subprocess.run(command("compare", f"out={out}", baseline, picture), check=True)


if __name__ == "__main__":
    main()
