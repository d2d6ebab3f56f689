"""What an audit has found, as a page with pictures."""

from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from ilvf.analysis import Audit, off_diagonal


def write_report(
    folder: Path, audit: Audit, weight: Tensor, influence: Tensor, env: Any, setting: dict[str, Any]
) -> dict[str, float]:
    """Write `report.md`, `audit.png` and `audit.pt` into `folder`; the figures that belong into the run's metrics."""
    folder.mkdir(parents=True, exist_ok=True)
    n = audit.effect.shape[-1]
    graphs = kinds_of_pairs(env, n)
    agreement, cost = audit.agreement(weight), costs(audit, influence, env)
    mean = weight.reshape(-1, n, n).mean(0)
    picture(audit, mean, getattr(env, "influence_graph", None)).savefig(
        folder / "audit.png", dpi=110
    )
    matrices = {k: getattr(audit, k) for k in ("effect", "low", "high", "p_value", "significant")}
    torch.save({**matrices, "weight": mean, "influence": influence}, folder / "audit.pt")
    parts = [
        heading(audit, setting),
        pairs_table(audit, mean, influence, graphs),
        agreement_line(agreement),
    ]
    parts += [
        cost_table(cost),
        power_table(audit, graphs),
        "![learned and measured influence](audit.png)",
    ]
    (folder / "report.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return {f"audit/{k}": v for k, v in {**agreement, **cost["learned Ŵ"]}.items()}


def kinds_of_pairs(env: Any, n: int) -> dict[str, Tensor]:
    """Off-diagonal pairs (row = acting agent) by what the environment's graphs say of them; all, if it has none."""
    off = ~torch.eye(n, dtype=torch.bool)
    if not hasattr(env, "influence_graph"):
        return {"all": off}
    direct, possible = env.reward_graph.T.cpu() & off, env.influence_graph.cpu() & off
    kinds = {
        "direct (enters the reward)": direct,
        "indirect": possible & ~direct,
        "impossible": off & ~possible,
    }
    return {k: v for k, v in kinds.items() if v.any()}


def costs(audit: Audit, influence: Tensor, env: Any) -> dict[str, dict[str, float]]:
    """Bias and variance of the learned influence and of what it can be compared with."""
    n = audit.effect.shape[-1]
    eye = torch.eye(n, dtype=torch.bool)
    choices = {
        "learned Ŵ": influence,
        "identity (IPPO-C)": eye,
        "ones (MAPPO)": torch.ones(n, n),
        "pairs found significant": audit.significant | eye,
    }
    if hasattr(env, "influence_graph"):
        choices |= {
            "reward graph": env.reward_graph.T.cpu() | eye,
            "all that is possible": env.influence_graph.cpu() | eye,
        }
    return {k: audit.cost(v.float().cpu()) for k, v in choices.items()}


# ---------------------------------------------------------------------- text
def heading(audit: Audit, setting: dict[str, Any]) -> str:
    m, options = audit.measured.effect.shape, setting["audit"]
    env = ", ".join(f"{k}={v}" for k, v in setting["env"].items())
    return (
        f"# Audit of {setting['checkpoint']}\n\n"
        f"{env}. {m[0]} states × {m[1]} joint actions × {m[2]} futures, every single-agent change of the first action, "
        f"γ = {options['gamma']}, level {audit.level}; {setting['seconds']:.0f} s."
    )


def pairs_table(audit: Audit, weight: Tensor, influence: Tensor, kinds: dict[str, Tensor]) -> str:
    share = influence.reshape(-1, *influence.shape[-2:]).float().mean(0).cpu()
    rows = []
    for kind, pairs in kinds.items():
        found, effect = audit.significant[pairs], audit.effect[pairs]
        rows.append(
            [
                kind,
                int(pairs.sum()),
                int(found.sum()),
                f"{effect.median():.3g} ({effect.min():.3g} – {effect.max():.3g})",
                f"{weight[pairs].mean():.2f}",
                f"{share[pairs].mean():.2f}",
            ]
        )
    return table(
        ["pairs", "number", "significant", "effect: median (range)", "mean learned w", "mean Ŵ"],
        rows,
    )


def agreement_line(agreement: dict[str, float]) -> str:
    a = agreement
    return (
        f"Learned weight against the pairs found significant: AUROC {a['auroc']:.3f}, average precision "
        f"{a['average_precision']:.3f} (chance {a['share_of_true_pairs']:.2f}), calibration error "
        f"{a['calibration_error']:.3f}."
    )


def cost_table(cost: dict[str, dict[str, float]]) -> str:
    rows = [
        [k, f"{c['bias']:.3f} [{c['bias_low']:.3f}, {c['bias_high']:.3f}]", f"{c['variance']:.3f}"]
        for k, c in cost.items()
    ]
    head = (
        "bias: the part of the policy gradient that an influence throws away, with its interval; "
        "variance: of the score-function gradient with it, ones = 1."
    )
    return f"{head}\n\n" + table(["influence", "bias", "variance"], rows)


def power_table(audit: Audit, kinds: dict[str, Tensor]) -> str:
    """Share of pairs found with fewer states."""
    k = audit.evidence.shape[0]
    sizes = [s for s in (8, 16, 32, 64, 128, 256, 512) if s <= k]
    found = {s: audit.detected(s) for s in sizes}
    rows = [
        [kind, *(f"{found[s][pairs].mean():.2f}" for s in sizes)] for kind, pairs in kinds.items()
    ]
    head = "Power: share of the pairs that are significant in an audit of so many states (resampled from these)."
    return f"{head}\n\n" + table(["pairs", *(f"{s} states" for s in sizes)], rows)


def table(head: list[str], rows: list[list[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


# ---------------------------------------------------------------------- picture
def picture(audit: Audit, weight: Tensor, possible: Tensor | None) -> Figure:
    """Learned weight, measured effect, and what is significant, side by side; row = acting agent."""
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    axes = figure.subplots(1, 3)
    effect = audit.effect.clone()
    effect[torch.eye(len(effect), dtype=torch.bool)] = float(
        "nan"
    )  # everybody moves its own return
    limit = float(off_diagonal(audit.effect).max()) or 1.0
    images = [
        axes[0].imshow(weight, vmin=0, vmax=1, cmap="viridis"),
        axes[1].imshow(effect, vmin=0, vmax=limit, cmap="magma"),
        axes[2].imshow(verdicts(audit, weight), vmin=0, vmax=3, cmap=_colours()),
    ]
    titles = ("learned weight w", "measured effect", "verdict")
    for axis, image, title in zip(axes, images, titles, strict=True):
        axis.set(title=title, xlabel="whose return moves", ylabel="whose action is changed")
        for line in (axis.xaxis, axis.yaxis):
            line.set_major_locator(MaxNLocator(8, integer=True))
        if title != "verdict":
            figure.colorbar(image, ax=axis, shrink=0.8)
    if possible is not None:
        for i, j in (~possible.cpu()).nonzero().tolist():
            axes[1].plot(j, i, ".", color="grey", markersize=2)
        axes[1].set_title("measured effect (dot: impossible)")
    bar = figure.colorbar(images[2], ax=axes[2], shrink=0.8, ticks=[0.375, 1.125, 1.875, 2.625])
    bar.ax.set_yticklabels(["neither", "only learned", "only measured", "both"])
    return figure


def verdicts(audit: Audit, weight: Tensor) -> Tensor:
    """0 neither, 1 only learned (w ≥ ½), 2 only measured (significant), 3 both."""
    return (weight >= 0.5).float() + 2 * audit.significant.float()


def _colours() -> Any:
    from matplotlib.colors import ListedColormap

    return ListedColormap(["#f0f0f0", "#e0a030", "#b03050", "#308050"])
