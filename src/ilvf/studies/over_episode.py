"""Influence over an episode in a study: learned matrices beside measured ones, of all seeds.

Each finished run is analysed by `ilvf influence`. The matrices are kept in one table, which is all
that the report needs: `influence_over_episode.csv`, one row per run, moment and pair of agents.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from ilvf.analysis import auroc, lower_share, off_diagonal
from ilvf.envs.names import AgentNames
from ilvf.reports.influence import draw_matrices
from ilvf.reports.tables import table as markdown
from ilvf.reports.titles import counted
from ilvf.studies.plan import PlannedRun, plain

MATRICES = ("weight", "influence", "effect", "significant")  # row = acting agent
PAIR = ["acting", "affected"]
COLUMNS = ["task", "algorithm", "seed", "moment", "step", *PAIR, *MATRICES]
MEANING = """Means over seeds. *w* and *Ŵ* are what the run's best checkpoint has learned, off the
diagonal. *Below* is the share of the weight that critics give to agents with lower numbers (0.5 if
influence is symmetric), and the same share of the measured effects. *Significant* is the share of
the pairs that the audit finds at this moment, and *AUROC* says how well w ranks them; it is empty
where no run has both kinds of pairs, or nothing was measured."""

Matrices = dict[str, Tensor]  # name, of MATRICES → `[N, N]`


def rows_of(folder: Path, run: PlannedRun) -> pd.DataFrame:
    """The rows of a run that `ilvf influence` has analysed.

    Args:
        folder: of the run.
    """
    saved = torch.load(folder / "influence" / "influence.pt", weights_only=True)
    parts = []
    for moment, learned in saved["moments"].items():
        matrices = {name: learned[name].T for name in ("weight", "influence")}
        unknown = torch.full_like(matrices["weight"], float("nan"))
        measured = saved["measured"].get(moment, {})
        for name in ("effect", "significant"):
            matrices[name] = measured.get(name, unknown)
        rows = pairs_of(matrices)
        rows["moment"] = moment
        rows["step"] = saved["steps"][moment]
        parts.append(rows)
    found = pd.concat(parts, ignore_index=True)
    found["task"], found["algorithm"], found["seed"] = run.key
    return found[COLUMNS]


def pairs_of(matrices: Mapping[str, Tensor]) -> pd.DataFrame:
    """Matrices `[N, N]` as a table with a row for each pair."""
    n = len(matrices["weight"])
    pairs = torch.cartesian_prod(torch.arange(n), torch.arange(n))
    rows = pd.DataFrame(pairs.numpy(), columns=PAIR)
    for name, matrix in matrices.items():
        rows[name] = matrix.float().cpu().flatten().numpy()
    return rows


def matrices_of(rows: pd.DataFrame) -> Matrices:
    """The matrices of one run and moment, or means over several runs."""
    means = rows.groupby(PAIR)[list(MATRICES)].mean()
    n = round(len(means) ** 0.5)
    return {name: torch.tensor(means[name].to_numpy(float)).view(n, n) for name in MATRICES}


# ---------------------------------------------------------------------- report
def report_parts(
    table: pd.DataFrame, folder: Path, agents: Mapping[str, AgentNames] | None = None
) -> tuple[list[str], list[Path]]:
    """The parts of a study's page about influence over an episode, and its pictures.

    Args:
        table: of the runs that have been analysed.
        folder: of the study, which gets the pictures.
        agents: task → names of its agents, where they are known.
    """
    if table.empty:
        return [], []
    parts = ["## Influence over an episode", MEANING]
    pictures = []
    for (task, algorithm), rows in table.groupby(["task", "algorithm"], sort=False):
        picture = folder / f"influence_{plain(f'{task} {algorithm}')}.png"
        seeds = counted(rows["seed"].nunique(), "seed")
        title = f"{algorithm} on {task}: mean over {seeds}"
        draw(rows, title, picture, (agents or {}).get(task))
        pictures.append(picture)
        parts += [f"### {task}: {algorithm}", moments_table(rows), f"![{title}]({picture.name})"]
    return parts, pictures


def draw(rows: pd.DataFrame, title: str, path: Path, agents: AgentNames | None) -> None:
    """Draw mean w, mean Ŵ and, where measured, mean effects at every moment."""
    moments = {}
    effects = {}
    at = {}
    for moment, found in rows.groupby("moment"):
        matrices = matrices_of(found)
        moments[moment] = {name: matrices[name].T for name in ("weight", "influence")}
        at[moment] = int(found["step"].iloc[0])
        if not matrices["effect"].isnan().any():
            effects[moment] = matrices["effect"]
    shown = effects if len(effects) == len(moments) else {}
    draw_matrices(moments, shown, at, title, agents).savefig(path, dpi=110)


def moments_table(rows: pd.DataFrame) -> str:
    """A row for each moment: means over seeds."""
    lines = []
    for moment, found in rows.groupby("moment"):
        per_seed = [numbers_of(matrices_of(run)) for _, run in found.groupby("seed")]
        means = pd.DataFrame(per_seed).mean()
        cells = ["" if pd.isna(mean) else f"{mean:.2f}" for mean in means]
        lines.append([f"{moment:g}", int(found["step"].iloc[0]), len(per_seed), *cells])
    head = ["moment", "step", "seeds", "w", "Ŵ", "below", "effect below", "significant", "AUROC"]
    return markdown(head, lines)


def numbers_of(matrices: Matrices) -> list[float]:
    """The numbers of one run and moment; NaN where there are none."""
    nan = float("nan")
    weight, effect, significant = (matrices[k] for k in ("weight", "effect", "significant"))
    share = float(off_diagonal(significant).mean())
    known = 0 < share < 1
    return [
        float(off_diagonal(weight).mean()),
        float(off_diagonal(matrices["influence"]).mean()),
        float(lower_share(weight.T)),
        float(lower_share(effect.T)) if bool(off_diagonal(effect).any()) else nan,
        share,
        float(auroc(weight, significant > 0.5)) if known else nan,
    ]
