"""Report of the influence over an episode: a table, two pictures and the matrices."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ilvf.analysis import Audit, lower_share, off_diagonal
from ilvf.envs.names import AgentNames
from ilvf.errors import require
from ilvf.reports.drawing import COLOURS
from ilvf.reports.matrices import Panel, draw_influence
from ilvf.reports.tables import setting_text, table, write_page
from ilvf.reports.titles import counted

MEANING = (
    "Means over the episodes that have not ended by then. *Below*: share of the off-diagonal "
    "weight that critics give to agents with lower numbers (0.5 if influence is symmetric)."
)
COLUMNS = ["moment", "step", "mean w", "below", "mean Ŵ", "on the diagonal of w"]
MEASURED_COLUMNS = ["significant pairs", "effect below", "AUROC of w"]
LEARNED = {"weight": "attention w", "influence": "influence Ŵ"}  # name: title of its matrices

Moments = Mapping[float, dict[str, Tensor]]  # part of the episode → see `moment`


def write_report(
    folder: Path,
    episode: Mapping[str, Any],
    at: Mapping[float, int],
    measured: Mapping[float, Audit],
    setting: Mapping[str, Any],
) -> dict[str, float]:
    """Write `report.md`, `matrices.png`, `curves.png` and `influence.pt`.

    Args:
        folder: where; it is made if it does not exist.
        episode: `weight` and `influence` `[K, T, N, N]`, row = acting agent; `counted` bool
            `[K, T]`, the steps of first episodes.
        at: part of the episode → step.
        measured: part of the episode → audit; empty if nothing was measured.
        setting: `checkpoint`, `env`, `title` of the run, and `agents`, their names.

    Returns:
        Metrics `influence/NAME_first` and `influence/NAME_last` for the run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    moments = {m: moment(episode, t) for m, t in at.items()}
    lines = curves(episode)
    episodes = counted(len(episode["counted"]), "episode")
    title = f"{setting['title']}, {setting['checkpoint']}: mean over {episodes}"
    effects = {m: audit.effect for m, audit in measured.items()}
    matrices = draw_matrices(moments, effects, at, title, setting["agents"])
    matrices.savefig(folder / "matrices.png", dpi=110)
    draw_curves(lines, at, title).savefig(folder / "curves.png", dpi=110)
    saved = {
        m: {"effect": audit.effect, "significant": audit.significant}
        for m, audit in measured.items()
    }
    found = {"steps": dict(at), "moments": moments, "curves": lines, "measured": saved}
    torch.save(found, folder / "influence.pt")
    page = [
        f"# Influence over an episode: {setting['checkpoint']}",
        f"{setting_text(setting['env'])}. {MEANING}",
        moments_table(episode, at, moments, measured),
        "![matrices](matrices.png)",
        "![curves](curves.png)",
    ]
    write_page(folder / "report.md", page)
    metrics = {}
    for when, m in (("first", min(at)), ("last", max(at))):
        weight = moments[m]["weight"]
        metrics[f"influence/mean_{when}"] = float(off_diagonal(weight).mean())
        metrics[f"influence/below_{when}"] = float(lower_share(weight))
    return metrics


def moment(episode: Mapping[str, Any], t: int) -> dict[str, Tensor]:
    """Means of `weight` and `influence` over the episodes that have not ended by step t.

    Returns:
        `[N, N]` each. Row = agent whose return changes (as in the critic's attention).

    Raises:
        UsageError: all episodes have ended by then.
    """
    running = episode["counted"][:, t]
    require(
        bool(running.any()),
        f"no episode lasts to step {t}; take an earlier moment, or more episodes",
    )
    means = {}
    for name in LEARNED:
        means[name] = episode[name][running, t].float().mean(0).T.cpu()
    return means


def curves(episode: Mapping[str, Any]) -> dict[str, Tensor]:
    """Mean and lower share of w, and density of Ŵ, in every step.

    Returns:
        label → mean over the episodes that have not ended by then, `[T]`; NaN after the last one.
    """
    running = episode["counted"].float()
    count = running.sum(0)
    weight = episode["weight"].mT  # row = agent whose return changes
    influence = episode["influence"].mT
    each = {
        "mean of w off the diagonal": off_diagonal(weight).mean(-1),
        "share of w on agents with lower numbers": lower_share(weight),
        "density of Ŵ off the diagonal": off_diagonal(influence).float().mean(-1),
    }
    return {name: ((value * running).sum(0) / count).cpu() for name, value in each.items()}


# ---------------------------------------------------------------------- text
def moments_table(
    episode: Mapping[str, Any],
    at: Mapping[float, int],
    moments: Moments,
    measured: Mapping[float, Audit],
) -> str:
    """A row for every moment."""
    rows = []
    counted = episode["counted"]
    for m, t in at.items():
        row = [f"{m:g}", t, *learned_cells(moments[m])]
        if m in measured:
            row += measured_cells(moments[m], measured[m])
        row.append(f"{int(counted[:, t].sum())} of {len(counted)}")
        rows.append(row)
    more = MEASURED_COLUMNS if measured else []
    return table([*COLUMNS, *more, "episodes"], rows)


def learned_cells(found: Mapping[str, Tensor]) -> list[str]:
    """The cells of one moment that describe w and Ŵ."""
    weight = found["weight"]
    values = [
        off_diagonal(weight).mean(),
        lower_share(weight),
        off_diagonal(found["influence"]).mean(),
        weight.diagonal().mean(),
    ]
    return [f"{value:.2f}" for value in values]


def measured_cells(found: Mapping[str, Tensor], audit: Audit) -> list[str]:
    """The cells of one moment that describe the measured influence."""
    pairs = off_diagonal(audit.significant)
    any_effect = bool(off_diagonal(audit.effect).any())
    below = f"{lower_share(audit.effect.T):.2f}" if any_effect else "–"
    agreement = audit.agreement(found["weight"].T)
    return [f"{int(pairs.sum())} of {pairs.numel()}", below, f"{agreement['auroc']:.2f}"]


# ---------------------------------------------------------------------- pictures
def draw_matrices(
    moments: Moments,
    effects: Mapping[float, Tensor],
    at: Mapping[float, int],
    title: str,
    agents: AgentNames | None = None,
) -> Figure:
    """w, Ŵ and, if measured, the effects, one column a moment; row = whose action.

    Args:
        moments: see `moment`.
        effects: part of the episode → `[N, N]`, row = acting agent; empty if not measured.
        at: part of the episode → step.
        title: of the run.
        agents: names of the N agents.
    """
    rows = []
    for name, label in LEARNED.items():
        found = {m: matrices[name].T for m, matrices in moments.items()}
        rows.append([Panel(found[m], f"{label}, step {at[m]}", agents=agents) for m in moments])
    if effects:
        rows.append([effect_panel(effect, at[m], agents) for m, effect in effects.items()])
    return draw_influence(rows, title)


def effect_panel(effect: Tensor, step: int, agents: AgentNames | None) -> Panel:
    """Measured effects; an agent's effect on itself may be beyond the colours."""
    top = float(off_diagonal(effect).max()) or 1.0
    title = f"measured effect, step {step}"
    return Panel(effect, title, top, "magma", "return", agents=agents)


def draw_curves(lines: Mapping[str, Tensor], at: Mapping[float, int], title: str = "") -> Figure:
    """Values in [0, 1] over the steps of the episode; the moments are vertical lines."""
    figure = Figure(figsize=(6.5, 3.6), layout="constrained")
    axes = figure.add_subplot(xlabel="step of the episode", ylabel="share or mean", ylim=(0, 1))
    axes.set_title(title, fontsize=9, parse_math=False)
    for colour, (name, values) in zip(COLOURS, lines.items(), strict=False):
        axes.plot(values, label=name, color=colour)
    for t in at.values():
        axes.axvline(t, color="0.8", lw=0.8, zorder=0)
    axes.axhline(0.5, color="0.8", lw=0.8, ls=":", zorder=0)
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    return figure
