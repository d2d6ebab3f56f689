"""What every traffic signal does to every other one, as an audit has measured it.

python benchmarks/score_effects.py

Draws benchmarks/results/score_audit_effects.csv, which `score_audit.py --only grid` writes, into
docs/images/grid-effects.png, and prints tables. All teams are taken together for the picture.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import torch
from scipy.stats import spearmanr
from torch import Tensor

from common import argument_parser
from ilvf.analysis import Audit, Ring, effects_by_distance, hops_between, off_diagonal
from ilvf.envs.traffic import Network, read_network
from ilvf.envs.traffic.scenarios.large_grid import large_grid
from ilvf.reports.effects import draw_effects, rings_table

ROOT = Path(__file__).parents[1]
EFFECTS = ROOT / "benchmarks" / "results" / "score_audit_effects.csv"
PICTURE = ROOT / "docs" / "images" / "grid-effects.png"
PAIR = ("algorithm", "seed", "from", "to")
TEAM_HEAD = (
    "| team | significant neighbours | others | share of effects on neighbours | of Ŵ | rank |\n"
    "|---|---|---|---|---|---|"
)
COLUMNS = (*PAIR, "significant", "weight", "influence", "squares")


# ---------------------------------------------------------------------- csv file
def write_effects(
    path: Path,
    team: tuple[str, str],
    found: Audit,
    network: Network,
    weight: Tensor,
    influence: Tensor,
) -> None:
    """Add an audit to a csv file: one row for each pair, with its squared effect in every state.

    Args:
        path: of the file.
        team: algorithm and seed.
        found: the audit.
        network: the signals.
        weight: learned w `[K, N, N]`, row = acting agent, or one matrix; the mean is written.
        influence: learned Ŵ of the same shape.
    """
    names = [signal.id for signal in network.signals]
    n = len(names)
    means = [x.reshape(-1, n, n).float().mean(0) for x in (weight, influence)]
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(COLUMNS)
        for i in range(n):
            for j in range(n):
                learned = [f"{float(mean[i, j]):.3g}" for mean in means]
                squares = " ".join(f"{x:.4g}" for x in found.squares[:, i, j].tolist())
                significant = int(found.significant[i, j])
                writer.writerow([*team, names[i], names[j], significant, *learned, squares])


@dataclass(frozen=True)
class Team:
    """The rows of one team.

    Attributes:
        squares: squared effects, `[K, N, N]`, row = acting signal.
        significant: bool `[N, N]`.
        influence: mean learned Ŵ, `[N, N]`.
    """

    squares: Tensor
    significant: Tensor
    influence: Tensor


def read_effects(path: Path, network: Network) -> dict[str, Team]:
    """Algorithm and seed → the team."""
    index = {signal.id: i for i, signal in enumerate(network.signals)}
    n = len(index)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    teams = {}
    for name in dict.fromkeys((row["algorithm"], row["seed"]) for row in rows):
        own = [row for row in rows if (row["algorithm"], row["seed"]) == name]
        states = len(own[0]["squares"].split())
        team = Team(torch.zeros(states, n, n), torch.zeros(n, n).bool(), torch.zeros(n, n))
        for row in own:
            i, j = index[row["from"]], index[row["to"]]
            team.squares[:, i, j] = torch.tensor([float(x) for x in row["squares"].split()])
            team.significant[i, j] = row["significant"] == "1"
            team.influence[i, j] = float(row["influence"])
        teams[f"{name[0]}, seed {name[1]}"] = team
    return teams


# ---------------------------------------------------------------------- tables, picture
def main() -> None:
    argument_parser(__doc__).parse_args()
    network = read_network(large_grid().net_file)
    teams = read_effects(EFFECTS, network)
    neighbours = torch.from_numpy(network.neighbours)
    hops = hops_between(neighbours)
    print(TEAM_HEAD)
    for name, team in teams.items():
        print(team_row(name, team, neighbours, effects_by_distance(team.squares, hops)))
    squares = torch.cat([team.squares for team in teams.values()])
    rings = effects_by_distance(squares, hops)
    print(f"\n{len(squares)} states\n\n{rings_table(rings)}")
    effect = squares.mean(0).clamp_min(0).sqrt()
    title = f"Large grid, measured effects: {len(squares)} states of {'; '.join(teams)}"
    draw_effects(network, effect, rings, title).savefig(PICTURE, dpi=90)
    print(f"\n{PICTURE}")


def team_row(name: str, team: Team, neighbours: Tensor, rings: list[Ring]) -> str:
    """A team in the table: what is significant, where effects and Ŵ are, how they agree."""
    other = ~neighbours & ~torch.eye(len(neighbours), dtype=torch.bool)
    near = rings[0]
    others = off_diagonal(team.influence)
    on_near = float(team.influence[neighbours].sum() / others.sum())
    effect = off_diagonal(team.squares.mean(0))
    rank = float(spearmanr(others, effect).statistic)
    cells = [
        name,
        f"{int(team.significant[neighbours].sum())} of {near.pairs}",
        f"{int(team.significant[other].sum())} of {int(other.sum())}",
        f"{near.share:.2f} [{near.low:.2f}, {near.high:.2f}]",
        f"{on_near:.2f}",
        f"{rank:.2f}",
    ]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
