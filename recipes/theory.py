"""What the paper claims, measured exactly on small games given by tables.

python recipes/theory.py        a table of all claims, and docs/images/theory-variance.png; a few seconds

docs/theory.md explains every line.
"""

from dataclasses import replace
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ilvf.envs import TabularGame, make_game
from ilvf.envs.tabular.games import hidden_pairs, random_game

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "theory-variance.png"
AGENTS = range(2, 7)
SIZES = {
    2: ((2, 3), (3, 2)),
    3: ((2, 3, 2), (2, 2, 3)),
    4: ((2, 2, 3, 2), (2, 3, 2, 2)),
    5: ((2,) * 5, (2,) * 5),
}  # number of agents: local states, local actions
CREDITS = {  # label: influence of a game, colour
    "minimal set (ILVF)": (lambda g: g.influence(), "C0"),
    "everybody (global)": (lambda g: torch.ones(g.n_agents, g.n_agents), "C3"),
    "own return only": (lambda g: torch.eye(g.n_agents), "0.5"),
    "transposed set": (lambda g: g.influence().mT, "C1"),
}


def random_games() -> list[TabularGame]:
    """240 games of 2 to 5 agents with sparse random couplings."""
    return [random_game(60, states=s, actions=a, seed=n) for n, (s, a) in SIZES.items()]


def gradient_error(game: TabularGame, influence: Tensor) -> Tensor:
    """Largest difference to the gradient by automatic differentiation, per game `[G]`."""
    return (game.local_policy_gradient(influence) - game.policy_gradient()).abs().amax((1, 2, 3))


def share(x: Tensor) -> float:
    """Share of True outside the diagonal."""
    return x[..., ~torch.eye(x.shape[-1], dtype=torch.bool)].float().mean().item()


def theorem_1(games: list[TabularGame]) -> None:
    variants = {
        "minimal sets, eq. 4": lambda g: g.influence(),
        "averaged sets": lambda g: g.averaged_influence(),
        "everybody": lambda g: torch.ones(g.n_agents, g.n_agents),
        "own return only": lambda g: torch.eye(g.n_agents),
        "transposed minimal sets": lambda g: g.influence().mT,
    }
    for label, influence in variants.items():
        error = torch.cat([gradient_error(g, influence(g)) for g in games])
        wrong = int((error > 1e-3).sum())
        line(
            f"Theorem 1: {label}",
            f"largest error {error.max():.1e}, wrong in {wrong} of {len(error)} games",
        )
    density = sum(share(g.influence()) for g in games) / len(games)
    line("Theorem 1: share of other agents in a minimal set", f"{density:.2f}")


def lemma_1() -> None:
    games = [
        random_game(60, states=s, actions=a, density=0.7, seed=n) for n, (s, a) in SIZES.items()
    ]
    true = printed = pairs = 0
    for g in games:
        bound, rank = torch.tensor(g.actions) - 1, g.policy_rank()
        true += int((rank > bound.unsqueeze(1)).sum())
        printed += int((rank > bound).sum())
        pairs += rank.numel()
    line("Lemma 1: dim > |A_i| − 1 (whose policy turns)", f"{true} of {pairs} cases")
    line("Lemma 1: dim > |A_j| − 1 (as printed)", f"{printed} of {pairs} cases")


def theorem_2(games: list[TabularGame]) -> None:
    hidden = [hidden_pairs(60, **k) for k in (dict(), dict(own_actions=3), dict(n_agents=4))]
    for label, family in (("random games", games), ("hidden pairs", hidden)):
        cases, held, still = 0, 0.0, 0
        for g in family:
            rank, eye = g.policy_rank(), torch.eye(g.n_agents, dtype=torch.bool)
            own = g.state_policy_influence().diagonal(dim1=2, dim2=3)
            private = ~((rank > 0) & ~eye).any(2)
            where = ~g.state_value_influence() & (own & private).unsqueeze(2)
            cases += int(where.sum())
            held = max(held, g.averaged_spread().mT[where].max().item())
            still += int((g.action_spread().mT[where] > 1e-6).sum())
        line(
            f"Theorem 2, corrected: {label}",
            f"{cases} cases, Q̄_i moves by at most {held:.1e}; Q_i moves in {still}",
        )


def counter_examples() -> None:
    """How far a_1 moves Q_0 although s_1 moves no value of agent 0."""
    cause, blind, xor = make_game("common_cause"), make_game("common_cause"), make_game("xor")
    blind = replace(blind, logits=torch.zeros_like(blind.logits))
    for label, g in (
        ("without (b): common_cause", cause),
        ("without (a): uniform policies", blind),
        ("xor", xor),
    ):
        v, q, averaged = (
            x.max().item()
            for x in (
                g.state_spread()[..., 0, 1],
                g.action_spread()[..., 1, 0],
                g.averaged_spread()[..., 1, 0],
            )
        )
        line(
            f"Theorem 2, {label}",
            f"s_1 moves V_0, Q_0 by {v:.1e}; a_1 moves Q_0 by {q:.2f}, Q̄_0 by {averaged:.2f}",
        )


def variance(name: str) -> dict[str, list[tuple[float, float]]]:
    """(variance, relative bias) of every credit for every number of agents, over all agents and 32 random policies."""
    rows: dict[str, list[tuple[float, float]]] = {label: [] for label in CREDITS}
    for n in AGENTS:
        game = make_game(name, n_agents=n, games=32)
        truth = game.policy_gradient()
        for label, (influence, _) in CREDITS.items():
            w = influence(game)
            bias = (game.local_policy_gradient(w) - truth).norm() / truth.norm()
            rows[label].append((game.gradient_variance(w).mean().item(), bias.item()))
    return rows


def picture(results: dict[str, dict[str, list[tuple[float, float]]]]) -> Figure:
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots(2, len(results), sharex=True, sharey="row")
    for column, (name, rows) in enumerate(results.items()):
        for z, (label, points) in enumerate(rows.items()):
            style, size = (
                "o-" if z < 2 else "s--",
                (3, 7, 3, 6)[z],
            )  # coinciding curves stay visible
            for k in range(2):
                heights = [p[k] for p in points]
                axes[k, column].plot(
                    AGENTS,
                    heights,
                    style,
                    ms=size,
                    color=CREDITS[label][1],
                    label=label,
                    zorder=5 - z,
                )
        axes[0, column].set_title(name)
        axes[1, column].set(xlabel="number of agents", xticks=list(AGENTS))
    for row, title in zip(axes, ("variance of the gradient", "relative bias"), strict=True):
        row[0].set_ylabel(title)
        row[0].set_ylim(bottom=-0.03 * row[0].get_ylim()[1])
        for axis in row:
            axis.grid(alpha=0.3)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def line(claim: str, measured: str) -> None:
    print(f"{claim:<52}{measured}")


def main() -> None:
    games = random_games()
    theorem_1(games)
    lemma_1()
    theorem_2(games)
    counter_examples()
    results = {name: variance(name) for name in ("chain", "star", "pairs")}
    for name, rows in results.items():
        minimal, team, own, transposed = (rows[label][-1] for label in CREDITS)
        text = f"minimal {minimal[0]:.4f}, global {team[0]:.4f}, {team[0] / minimal[0]:.1f} times as much"
        line(f"Variance, {name}, {AGENTS[-1]} agents", text)
        line(
            f"Relative bias, {name}, {AGENTS[-1]} agents",
            f"minimal {minimal[1]:.0e}, own return {own[1]:.2f}, transposed {transposed[1]:.2f}",
        )
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    picture(results).savefig(PICTURE, dpi=110)
    print(
        f"picture: {PICTURE.relative_to(Path.cwd()) if PICTURE.is_relative_to(Path.cwd()) else PICTURE}"
    )


if __name__ == "__main__":
    main()
