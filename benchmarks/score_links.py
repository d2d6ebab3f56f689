"""Links that trained runs of ILVF-S have found, against the graphs of the environment.

python benchmarks/score_links.py runs/encircle-20/ilvf_s-*      one line a run, then the ranges
python benchmarks/score_links.py runs/ilvf_s-large_grid-*       signals and their neighbours

On Encircle a pair is impossible if no action of one agent can ever move the return of the other;
indirect if only positions carry the influence. On a road network pairs are neighbours or far.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from common import argument_parser
from ilvf.analysis import locality
from ilvf.checkpoints.files import read_checkpoint
from ilvf.credit.options import ScoreOptions
from ilvf.envs import make_env
from ilvf.errors import require, run_recipe


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs of ilvf_s")
    args = parser.parse_args()
    rows = []
    for run in args.runs:
        z, kinds, evidence = found_in(run)
        row = counts(z > evidence, kinds)
        rows.append(row)
        print(run.name, *(f"{name} {count} of {total}" for name, (count, total) in row.items()))
        for name, pairs in kinds.items():
            values = z[pairs]
            print(f"  z of {name}: mean {values.mean():.2f}, largest {values.max():.1f}, ", end="")
            print(f"above 2: {(values > 2).float().mean():.1%}")
        if "neighbours" in kinds:
            print(f"  {locality(z.clamp_min(0), kinds['neighbours'])}")
    for name in rows[0]:
        found = [row[name][0] for row in rows]
        print(f"{name}: {min(found)} to {max(found)} of {rows[0][name][1]}, {len(rows)} runs")


def found_in(run: Path) -> tuple[Tensor, dict[str, Tensor], float]:
    """Z `[N, N]` at the end of a run, its kinds of pairs, and the z of a link.

    Raises:
        UsageError: a run with neighbours.
    """
    checkpoint = read_checkpoint(run / "checkpoints" / "last.ckpt")
    config = checkpoint["ilvf"]["config"]
    require(
        not config["algorithm"].get("neighbours"),
        f"{run} has algorithm.neighbours, so that not all pairs were tested",
    )
    state = checkpoint["state_dict"]
    total = state["influence_source.z_sum"] / state["influence_source.test_count"].sqrt()
    evidence = config["algorithm"].get("evidence", ScoreOptions().evidence)
    return total.amax(0), kinds_of_pairs(dict(config["env"])), evidence


def kinds_of_pairs(options: dict[str, Any]) -> dict[str, Tensor]:
    """Kind → pairs, bool `[N, N]`, row = acting agent."""
    env: Any = make_env(options.pop("name"), **options)
    other = ~torch.eye(env.n_agents, dtype=torch.bool)
    if hasattr(env, "neighbours"):
        return {"neighbours": env.neighbours, "far": other & ~env.neighbours}
    direct = env.reward_graph.T & other
    possible = env.influence_graph & other
    return {
        "direct": direct,
        "indirect": possible & ~direct,
        "impossible": other & ~possible,
    }


def counts(links: Tensor, kinds: dict[str, Tensor]) -> dict[str, tuple[int, int]]:
    """Kind of pair → (links, pairs)."""
    return {name: (int(links[pairs].sum()), int(pairs.sum())) for name, pairs in kinds.items()}


if __name__ == "__main__":
    run_recipe(main)
