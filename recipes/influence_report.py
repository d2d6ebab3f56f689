"""Influence over an episode as a page with two pictures."""

from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from audit_report import table
from ilvf.analysis import lower_share, off_diagonal
from ilvf.errors import require


def write_report(
    folder: Path,
    episode: dict[str, Any],
    at: dict[float, int],
    measured: dict[float, Any],
    setting: dict[str, Any],
) -> dict[str, float]:
    """Write `report.md`, `matrices.png`, `curves.png` and `influence.pt`; the figures that belong into the metrics."""
    folder.mkdir(parents=True, exist_ok=True)
    seen = {m: moment(episode, t) for m, t in at.items()}
    line = curves(episode)
    matrices(seen, {m: a.effect for m, a in measured.items()}, at).savefig(
        folder / "matrices.png", dpi=110
    )
    draw_curves(line, at).savefig(folder / "curves.png", dpi=110)
    effects = {m: {"effect": a.effect, "significant": a.significant} for m, a in measured.items()}
    torch.save({"moments": seen, "curves": line, "measured": effects}, folder / "influence.pt")
    rows = [[*row(m, t, seen[m], measured.get(m)), still_on(episode, t)] for m, t in at.items()]
    env = ", ".join(f"{k}={v}" for k, v in setting["env"].items())
    head = (
        f"# Influence over an episode: {setting['checkpoint']}\n\n{env}. Means over the episodes that are still on; "
        "row = whose return, column = whose state or action. *Below*: share of the off-diagonal sum below the diagonal."
    )
    columns = ["moment", "step", "mean w", "below", "mean Ŵ", "on the diagonal of w"]
    columns += ["significant pairs", "effect below", "AUROC of w"] if measured else []
    columns.append("episodes")
    page = [head, table(columns, rows), "![matrices](matrices.png)", "![curves](curves.png)"]
    (folder / "report.md").write_text("\n\n".join(page) + "\n", encoding="utf-8")
    first, last = min(at), max(at)
    return {
        f"influence/{name}_{when}": float(value(seen[m]["weight"]))
        for when, m in (("first", first), ("last", last))
        for name, value in (("mean", lambda w: off_diagonal(w).mean()), ("below", lower_share))
    }


def moment(episode: dict[str, Any], t: int) -> dict[str, Tensor]:
    """Means over the episodes that are still on, `[N, N]`, row = whose return."""
    on = episode["counted"][:, t]
    require(
        bool(on.any()), f"no episode lasts to step {t}; take an earlier moment, or more episodes"
    )
    return {k: episode[k][on, t].float().mean(0).T.cpu() for k in ("weight", "influence")}


def curves(episode: dict[str, Any]) -> dict[str, Tensor]:
    """Mean and lower share of w, and density of Ŵ, over the episodes that are still on, `[T]`."""
    on = episode["counted"].float()
    count = on.sum(0)  # NaN where nobody is left
    weight, influence = episode["weight"].mT, episode["influence"].mT
    each = {
        "mean of w off the diagonal": off_diagonal(weight).mean(-1),
        "share of w below the diagonal": lower_share(weight),
        "density of Ŵ off the diagonal": off_diagonal(influence).float().mean(-1),
    }
    return {k: ((v * on).sum(0) / count).cpu() for k, v in each.items()}


def still_on(episode: dict[str, Any], t: int) -> str:
    return f"{int(episode['counted'][:, t].sum())} of {len(episode['counted'])}"


def row(m: float, t: int, seen: dict[str, Tensor], audit: Any) -> list[Any]:
    w, influence = seen["weight"], seen["influence"]
    cells = [f"{m:g}", t, f"{off_diagonal(w).mean():.2f}", f"{lower_share(w):.2f}"]
    cells += [f"{off_diagonal(influence).mean():.2f}", f"{w.diagonal().mean():.2f}"]
    if audit is None:
        return cells
    pairs = off_diagonal(audit.significant)
    below = f"{lower_share(audit.effect.T):.2f}" if off_diagonal(audit.effect).any() else "–"
    return [
        *cells,
        f"{int(pairs.sum())} of {pairs.numel()}",
        below,
        f"{audit.agreement(w.T)['auroc']:.2f}",
    ]


# ---------------------------------------------------------------------- pictures
def matrices(
    seen: dict[float, dict[str, Tensor]], effects: dict[float, Tensor], at: dict[float, int]
) -> Figure:
    """w, Ŵᵀ and the measured effect, one column a moment; row = whose return."""
    rows: list[tuple[str, dict[float, Tensor], float | None, str]] = [
        ("attention w", {m: s["weight"] for m, s in seen.items()}, 1.0, "viridis"),
        ("influence Ŵᵀ", {m: s["influence"] for m, s in seen.items()}, 1.0, "viridis"),
    ]
    if effects:
        rows.append(("measured effect", {m: e.T for m, e in effects.items()}, None, "magma"))
    figure = Figure(figsize=(3.1 * len(seen) + 0.9, 2.9 * len(rows) + 0.3), layout="constrained")
    axes = figure.subplots(len(rows), len(seen), squeeze=False)
    for line, (title, found, limit, colours) in zip(axes, rows, strict=True):
        for axis, (m, matrix) in zip(line, found.items(), strict=True):
            top = limit or float(off_diagonal(matrix).max()) or 1.0
            image = axis.imshow(matrix.numpy(), vmin=0, vmax=top, cmap=colours)
            axis.set(title=f"{title}, step {at[m]}", xlabel="agent j", ylabel="return of agent i")
            for side in (axis.xaxis, axis.yaxis):
                side.set_major_locator(MaxNLocator(8, integer=True))
            if limit is None:
                figure.colorbar(image, ax=axis, shrink=0.8)
        if limit is not None:
            figure.colorbar(image, ax=line, shrink=0.8)
    return figure


def draw_curves(line: dict[str, Tensor], at: dict[float, int]) -> Figure:
    """Everything in [0, 1] over the steps of the episode."""
    figure = Figure(figsize=(6.5, 3.4), layout="constrained")
    axes = figure.add_subplot(xlabel="step of the episode", ylim=(0, 1))
    for name, values in line.items():
        axes.plot(values, label=name)
    for t in at.values():
        axes.axvline(t, color="0.8", lw=0.8, zorder=0)
    axes.axhline(0.5, color="0.8", lw=0.8, ls=":", zorder=0)
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    return figure
