"""Every algorithm on MPE Encircle on paired seeds: runs, one figure, one table, one raw table.

python benchmarks/baselines.py                       seeds 0-4, about 100 k frames each; hours
python benchmarks/baselines.py --seeds 10-14 --only proof
python benchmarks/baselines.py --agents 10 --seeds 10-14 --only ilvf_s mappo
python benchmarks/baselines.py --dry                 list what would run

The runs have an MLflow store of their own in the folder `--out`. Finished runs are not repeated, so
a comparison can be stopped and continued.
"""

import csv
import subprocess
from pathlib import Path

from common import argument_parser
from ilvf.experiment.seeds import parse_seeds
from runs import COMMON, ROOT, Variant, client_of, command, finished

VARIANTS: tuple[Variant, ...] = (
    ("ilvf_s",),
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
PROOF: tuple[Variant, ...] = (
    ("ilvf_s",),
    ("ilvf_p", "algorithm.influence=reward_graph"),
    ("mappo",),
    ("ippo", "algorithm.critic=state"),
    ("prd",),
    ("ilvf_p",),
)
METRIC = "reward/agent_step"


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--agents", type=int, default=20)
    parser.add_argument("--seeds", default="0-4")
    parser.add_argument("--out", type=Path, help="by default runs/encircle-AGENTS")
    parser.add_argument("--only", nargs="*", help="recipes, or proof; all by default")
    parser.add_argument("--dry", action="store_true", help="list what would run")
    args = parser.parse_args()
    out = args.out or ROOT / "runs" / f"encircle-{args.agents}"
    for variant in chosen(args.only):
        done = finished(out, "encircle", VARIANTS, variant)
        missing = [seed for seed in parse_seeds(args.seeds) if seed not in done]
        print(*variant, f"seeds {missing}" if missing else "done", flush=True)
        if missing and not args.dry:
            train(variant, missing, args.agents, out)
            write_raw(out)
    if not args.dry:
        write_raw(out)
        compare(out)


def chosen(only: list[str] | None) -> list[Variant]:
    """The variants that `--only` names."""
    if not only:
        return list(VARIANTS)
    return [v for v in VARIANTS if v[0] in only or ("proof" in only and v in PROOF)]


def train(variant: Variant, seeds: list[int], agents: int, out: Path) -> None:
    """Run a variant with these seeds."""
    listed = "seeds=" + ",".join(map(str, seeds))
    more = (listed, f"env.n_agents={agents}", f"out={out}")
    subprocess.run(command(*variant, *COMMON, *more), check=True)


def write_raw(out: Path) -> None:
    """Write `raw.csv` into `out`: the reward of every run and iteration."""
    client = client_of(out)
    rows = []
    for variant in VARIANTS:
        for seed, run in sorted(finished(out, "encircle", VARIANTS, variant).items()):
            for point in client.get_metric_history(run, METRIC):
                rows.append([" ".join(variant), seed, point.step, f"{point.value:.6g}"])
    with (out / "raw.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["algorithm", "seed", "frames", METRIC])
        writer.writerows(rows)


def compare(out: Path) -> None:
    """Print the table and draw the figure of all runs."""
    both = finished(out, "encircle", VARIANTS, ("mappo", "algorithm.critic=central"))
    baseline = f"compare.baseline={'MAPPO, critic=agents' if both else 'mappo'}"
    picture = f"compare.picture={out / 'encircle.png'}"
    subprocess.run(command("compare", f"out={out}", baseline, picture), check=True)


if __name__ == "__main__":
    main()
