"""Links that trained runs have found on Encircle, against the graphs of the environment.

python benchmarks/score_links.py runs/encircle-20/ilvf_s-*      one line a run, then the ranges

A pair is impossible if no action of one agent can ever move the return of the other; indirect if
only positions carry the influence.
"""

from pathlib import Path

import torch

from common import argument_parser
from ilvf.checkpoints.files import read_checkpoint
from ilvf.credit.options import ScoreOptions
from ilvf.envs import make_env


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs of ilvf_s")
    args = parser.parse_args()
    rows = []
    for run in args.runs:
        row = found_in(run)
        rows.append(row)
        print(run.name, *(f"{name} {count} of {total}" for name, (count, total) in row.items()))
    for name in rows[0]:
        counts = [row[name][0] for row in rows]
        print(f"{name}: {min(counts)} to {max(counts)} of {rows[0][name][1]}, {len(rows)} runs")


def found_in(run: Path) -> dict[str, tuple[int, int]]:
    """Kind of pair → (links, pairs), at the end of a run."""
    state = read_checkpoint(run / "checkpoints" / "last.ckpt")["state_dict"]
    total = state["influence_source.z_sum"] / state["influence_source.test_count"].sqrt()
    links = total.amax(0) > ScoreOptions().evidence
    n = len(links)
    env = make_env("encircle", n_agents=n)
    other = ~torch.eye(n, dtype=torch.bool)
    direct = env.reward_graph.T & other
    possible = env.influence_graph & other
    kinds = {
        "direct": direct,
        "indirect": possible & ~direct,
        "impossible": other & ~possible,
    }
    return {name: (int(links[pairs].sum()), int(pairs.sum())) for name, pairs in kinds.items()}


if __name__ == "__main__":
    main()
