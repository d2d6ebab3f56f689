"""Report of an audit: tables, a picture and the matrices."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

from ilvf.analysis import Audit, effects_by_distance, hops_between, off_diagonal
from ilvf.envs.names import AgentNames, names_of
from ilvf.reports.matrices import Panel, draw_influence
from ilvf.reports.tables import setting_text, table, write_page
from ilvf.reports.titles import counted

SAVED = ("effect", "low", "high", "p_value", "significant")  # matrices in audit.pt
POWER_STATES = (8, 16, 32, 64, 128, 256, 512)
VERDICTS = {  # label: colour
    "neither": "#f0f0f0",
    "only learned": "#E69F00",
    "only measured": "#CC79A7",
    "both": "#0072B2",
}
COST_MEANING = (
    "bias: the share of the policy gradient that an influence omits (root of the ratio of squared "
    "norms), with its interval; variance: of the score-function gradient with this influence, "
    "relative to that of ones (MAPPO); break-even: samples of each state below which its mean "
    "squared error is smaller than that of ones."
)
POWER_MEANING = (
    "Power: share of the pairs that would be significant in an audit with so many states "
    "(resampled from these)."
)


def write_report(
    folder: Path,
    audit: Audit,
    weight: Tensor,
    influence: Tensor,
    env: Any,
    setting: Mapping[str, Any],
) -> dict[str, float]:
    """Write `report.md`, `audit.png` and `audit.pt`, and of traffic signals `effects.png`.

    Args:
        folder: where; it is made if it does not exist.
        audit: what was measured.
        weight: learned weights w `[N, N]` or `[K, N, N]`, row = acting agent.
        influence: learned Ŵ of the same shape.
        env: the environment; its graphs, if it has any, divide the pairs into kinds.
        setting: `checkpoint`, `env`, `title` of the run, `audit` (options) and `seconds`.

    Returns:
        Metrics `audit/NAME` for the run: agreement, and the cost of the learned Ŵ.
    """
    folder.mkdir(parents=True, exist_ok=True)
    n = audit.effect.shape[-1]
    kinds = kinds_of_pairs(env, n)
    agreement = audit.agreement(weight)
    cost = costs(audit, influence, env)
    mean = weight.reshape(-1, n, n).mean(0)
    mean_influence = influence.reshape(-1, n, n).float().mean(0)
    possible = getattr(env, "influence_graph", None)
    states = counted(audit.measured.effect.shape[0], "state")
    title = f"{setting['title']}, {setting['checkpoint']}: mean over {states}"
    figure = draw_audit(audit, mean, mean_influence, possible, title, names_of(env, n))
    figure.savefig(folder / "audit.png", dpi=110)
    matrices = {name: getattr(audit, name) for name in SAVED}
    torch.save({**matrices, "weight": mean, "influence": influence}, folder / "audit.pt")
    page = [
        heading(audit, setting),
        pairs_table(audit, mean, influence, kinds),
        agreement_line(agreement),
        cost_table(cost),
        power_table(audit, kinds),
        "![learned and measured influence](audit.png)",
    ]
    if hasattr(env, "network"):
        page += traffic_part(folder, audit, env, title)
    write_page(folder / "report.md", page)
    metrics = {**agreement, **cost["learned Ŵ"]}
    return {f"audit/{name}": value for name, value in metrics.items()}


def traffic_part(folder: Path, audit: Audit, env: Any, title: str) -> list[str]:
    """Effects between traffic signals by distance, and their picture."""
    from ilvf.reports.effects import draw_effects, rings_table

    rings = effects_by_distance(audit.squares, hops_between(env.neighbours), level=audit.level)
    figure = draw_effects(env.network, audit.effect, rings, f"Measured effects: {title}")
    figure.savefig(folder / "effects.png", dpi=110)
    return [rings_table(rings), "![effects between signals](effects.png)"]


def kinds_of_pairs(env: Any, n: int) -> dict[str, Tensor]:
    """Off-diagonal pairs (row = acting agent) by what the environment's graphs say about them.

    Returns:
        kind → bool `[N, N]`, without empty kinds: neighbours and others of traffic signals; one
        kind, `all`, for an environment without graphs.
    """
    off = ~torch.eye(n, dtype=torch.bool)
    if hasattr(env, "network"):
        near = env.neighbours.cpu() & off
        kinds = {"neighbours": near, "other signals": off & ~near}
    elif hasattr(env, "influence_graph"):
        direct = env.reward_graph.T.cpu() & off
        possible = env.influence_graph.cpu() & off
        kinds = {
            "direct (enters the reward)": direct,
            "indirect": possible & ~direct,
            "impossible": off & ~possible,
        }
    else:
        kinds = {"all": off}
    return {kind: pairs for kind, pairs in kinds.items() if pairs.any()}


def costs(audit: Audit, influence: Tensor, env: Any) -> dict[str, dict[str, float]]:
    """Bias and variance of the learned influence, and of others for comparison."""
    n = audit.effect.shape[-1]
    eye = torch.eye(n, dtype=torch.bool)
    choices = {
        "learned Ŵ": influence,
        "identity (IPPO-C)": eye,
        "ones (MAPPO)": torch.ones(n, n),
        "pairs found significant": audit.significant | eye,
    }
    if hasattr(env, "influence_graph"):
        choices["reward graph"] = env.reward_graph.T.cpu() | eye
        choices["all that is possible"] = env.influence_graph.cpu() | eye
    return {name: audit.cost(choice.float().cpu()) for name, choice in choices.items()}


# ---------------------------------------------------------------------- text
def heading(audit: Audit, setting: Mapping[str, Any]) -> str:
    """Title and setting."""
    states, actions, repeats = audit.measured.effect.shape[:3]
    changes = "every single-agent change of the first action"
    if audit.measured.choices is not None:
        source = {"policy": "drawn from the policy", "box": "spread over the box"}
        words = source[setting["audit"]["alternatives"]]
        changes += f" among {audit.measured.choices.shape[2]} that are {words}"
    return (
        f"# Audit of {setting['checkpoint']}\n\n"
        f"{setting_text(setting['env'])}. {states} states × {actions} joint actions × {repeats} "
        f"futures, {changes}, "
        f"γ = {setting['audit']['gamma']}, level {audit.level}; {setting['seconds']:.0f} s."
    )


def pairs_table(
    audit: Audit, weight: Tensor, influence: Tensor, kinds: Mapping[str, Tensor]
) -> str:
    """Effects and learned weights of every kind of pair."""
    learned = influence.reshape(-1, *influence.shape[-2:]).float().mean(0).cpu()
    rows = []
    for kind, pairs in kinds.items():
        effect = audit.effect[pairs]
        rows.append(
            [
                kind,
                int(pairs.sum()),
                int(audit.significant[pairs].sum()),
                f"{effect.median():.3g} ({effect.min():.3g} – {effect.max():.3g})",
                f"{weight[pairs].mean():.2f}",
                f"{learned[pairs].mean():.2f}",
            ]
        )
    head = ["pairs", "number", "significant", "effect: median (range)", "mean learned w", "mean Ŵ"]
    return table(head, rows)


def agreement_line(agreement: Mapping[str, float]) -> str:
    """The scores of `Audit.agreement` in a sentence."""
    return (
        "Learned weight against the pairs found significant: "
        f"AUROC {agreement['auroc']:.3f}, "
        f"average precision {agreement['average_precision']:.3f} "
        f"(chance {agreement['share_of_true_pairs']:.2f}), "
        f"calibration error {agreement['calibration_error']:.3f}."
    )


def cost_table(cost: Mapping[str, Mapping[str, float]]) -> str:
    """Bias, variance and break-even of every influence."""
    rows = []
    for name, c in cost.items():
        bias = f"{c['bias']:.3f} [{c['bias_low']:.3f}, {c['bias_high']:.3f}]"
        rows.append([name, bias, f"{c['variance']:.3f}", f"{c['break_even']:.0f}"])
    head = ["influence", "bias", "variance", "break-even"]
    return f"{COST_MEANING}\n\n" + table(head, rows)


def power_table(audit: Audit, kinds: Mapping[str, Tensor]) -> str:
    """Share of the pairs of every kind that an audit with so many states, or fewer, would find."""
    most = audit.evidence.shape[0]
    sizes = [*(states for states in POWER_STATES if states < most), most]
    found = [audit.detected(states) for states in sizes]
    rows = []
    for kind, pairs in kinds.items():
        rows.append([kind, *(f"{power[pairs].mean():.2f}" for power in found)])
    head = ["pairs", *(f"{states} states" for states in sizes)]
    return f"{POWER_MEANING}\n\n" + table(head, rows)


# ---------------------------------------------------------------------- picture
def draw_audit(
    audit: Audit,
    weight: Tensor,
    influence: Tensor,
    possible: Tensor | None,
    title: str,
    agents: AgentNames | None = None,
) -> Figure:
    """Learned weight, learned influence, measured effect and verdict.

    Args:
        audit: what was measured.
        weight: w `[N, N]`, row = acting agent.
        influence: Ŵ `[N, N]`.
        possible: bool `[N, N]`; impossible pairs get a dot. None draws no dots.
        title: of the run.
        agents: names of the N agents.
    """
    effect = audit.effect.clone()
    effect.fill_diagonal_(float("nan"))  # every agent influences its own return
    top = float(off_diagonal(audit.effect).max()) or 1.0
    dots = None if possible is None else ~possible.cpu()
    what = "measured effect" if dots is None else "measured effect (dot: impossible)"
    colours = ListedColormap(list(VERDICTS.values()))
    verdict = verdicts(audit, weight)
    learned = [
        Panel(weight, "learned weight w", agents=agents),
        Panel(influence, "learned influence Ŵ", agents=agents),
    ]
    found = [
        Panel(effect, what, top, "magma", "return", dots=dots, agents=agents),
        Panel(verdict, "verdict", 3, colours, words=tuple(VERDICTS), agents=agents),
    ]
    return draw_influence([learned, found], title)


def verdicts(audit: Audit, weight: Tensor) -> Tensor:
    """Index into `VERDICTS`: learned means w ≥ 0.5, measured means significant."""
    return (weight >= 0.5).float() + 2 * audit.significant.float()
