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


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs of ilvf_s")
    args = parser.parse_args()
    rows = []
    for run in args.runs:
        z, kinds = found_in(run)
        row = counts(z, kinds)
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


def found_in(run: Path) -> tuple[Tensor, dict[str, Tensor]]:
    """Z `[N, N]` at the end of a run, and its kinds of pairs."""
    checkpoint = read_checkpoint(run / "checkpoints" / "last.ckpt")
    state = checkpoint["state_dict"]
    total = state["influence_source.z_sum"] / state["influence_source.test_count"].sqrt()
    return total.amax(0), kinds_of_pairs(dict(checkpoint["ilvf"]["config"]["env"]))


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


def counts(z: Tensor, kinds: dict[str, Tensor]) -> dict[str, tuple[int, int]]:
    """Kind of pair → (links, pairs)."""
    links = z > ScoreOptions().evidence
    return {name: (int(links[pairs].sum()), int(pairs.sum())) for name, pairs in kinds.items()}


if __name__ == "__main__":
    main()
