"""What the paper claims, measured exactly on small games given by tables.

`write_report` prints one line a claim. The page docs/concepts/theory.md explains each of them.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ilvf.analysis import density
from ilvf.envs import TabularGame, make_game
from ilvf.envs.tabular.games import hidden_pairs, random_game
from ilvf.reports.variance import GAMES, Points, draw_variance, variance_and_bias

AGENTS = range(2, 7)  # team sizes of the picture
RANDOM_GAMES = 60  # of every team size
SIZES = {  # number of agents: local states, local actions
    2: ((2, 3), (3, 2)),
    3: ((2, 3, 2), (2, 2, 3)),
    4: ((2, 2, 3, 2), (2, 3, 2, 2)),
    5: ((2,) * 5, (2,) * 5),
}
INFLUENCES = {  # of Theorem 1
    "minimal sets, eq. 4": lambda g: g.influence(),
    "averaged sets": lambda g: g.averaged_influence(),
    "everybody": lambda g: torch.ones(g.n_agents, g.n_agents),
    "own return only": lambda g: torch.eye(g.n_agents),
    "transposed minimal sets": lambda g: g.influence().mT,
}
WRONG_FROM = 1e-3  # an error of the gradient that counts as wrong
MOVED_FROM = 1e-6  # a change of a value that counts as a change


def write_report(picture: Path, agents: Sequence[int] = AGENTS) -> None:
    """Print all claims with what was measured, and draw the variance.

    Args:
        picture: file of the picture.
        agents: team sizes of the picture.
    """
    games = random_games()
    report_theorem_1(games)
    report_lemma_1()
    report_theorem_2(games)
    report_counterexamples()
    results = {name: variance_and_bias(name, agents) for name in GAMES}
    for name, points in results.items():
        report_variance(name, points, agents[-1])
    picture.parent.mkdir(parents=True, exist_ok=True)
    draw_variance(results, agents).savefig(picture, dpi=110)
    print(f"picture: {picture}")


def report(claim: str, measured: str) -> None:
    """Print one line."""
    print(f"{claim:<52}{measured}")


def random_games(**options: float) -> list[TabularGame]:
    """240 games of 2 to 5 agents with random couplings; `density=` sets how many there are."""
    return [
        random_game(RANDOM_GAMES, states=states, actions=actions, seed=n, **options)
        for n, (states, actions) in SIZES.items()
    ]


def gradient_error(game: TabularGame, influence: Tensor) -> Tensor:
    """Largest difference to the gradient by automatic differentiation, `[G]`."""
    error = game.local_policy_gradient(influence) - game.policy_gradient()
    return error.abs().amax((1, 2, 3))


def report_theorem_1(games: Sequence[TabularGame]) -> None:
    """Which influences give the gradient of the global value."""
    for label, influence in INFLUENCES.items():
        error = torch.cat([gradient_error(g, influence(g)) for g in games])
        wrong = int((error > WRONG_FROM).sum())
        report(
            f"Theorem 1: {label}",
            f"largest error {error.max():.1e}, wrong in {wrong} of {len(error)} games",
        )
    share = sum(density(g.influence()).item() for g in games) / len(games)
    report("Theorem 1: share of other agents in a minimal set", f"{share:.2f}")


def report_lemma_1() -> None:
    """How many directions a state turns a policy in, against two bounds."""
    over_acting = 0
    over_printed = 0
    pairs = 0
    for game in random_games(density=0.7):
        bound = torch.tensor(game.actions) - 1
        rank = game.policy_rank()
        over_acting += int((rank > bound.unsqueeze(1)).sum())
        over_printed += int((rank > bound).sum())
        pairs += rank.numel()
    report("Lemma 1: dim > |A_i| − 1 (whose policy turns)", f"{over_acting} of {pairs} cases")
    report("Lemma 1: dim > |A_j| − 1 (as printed)", f"{over_printed} of {pairs} cases")


def eliminated(game: TabularGame) -> Tensor:
    """Where Theorem 2 removes agent j from the credit of agent i: bool `[G, S, N(i), N(j)]`.

    s_j moves no value of agent i, (a) s_j turns π_j, and (b) it turns no other agent's policy.
    """
    rank = game.policy_rank()
    eye = torch.eye(game.n_agents, dtype=torch.bool)
    turns_own = game.state_policy_influence().diagonal(dim1=2, dim2=3)  # (a) [G, S, N(j)]
    private = ~((rank > 0) & ~eye).any(2)  # (b)
    return ~game.state_value_influence() & (turns_own & private).unsqueeze(2)


def report_theorem_2(games: Sequence[TabularGame]) -> None:
    """How far a_j still moves Q̄_i where the corrected theorem removes it."""
    hidden = [
        hidden_pairs(RANDOM_GAMES),
        hidden_pairs(RANDOM_GAMES, own_actions=3),
        hidden_pairs(RANDOM_GAMES, n_agents=4),
    ]
    for label, family in (("random games", games), ("hidden pairs", hidden)):
        cases = 0
        largest = 0.0
        pointwise = 0
        for game in family:
            where = eliminated(game)
            cases += int(where.sum())
            largest = max(largest, game.averaged_spread().mT[where].max().item())
            pointwise += int((game.action_spread().mT[where] > MOVED_FROM).sum())
        report(
            f"Theorem 2, corrected: {label}",
            f"{cases} cases, Q̄_i moves by at most {largest:.1e}; Q_i moves in {pointwise}",
        )


def report_counterexamples() -> None:
    """How far a_1 moves Q_0 although s_1 moves no value of agent 0."""
    cause = make_game("common_cause")
    games = {
        "without (b): common_cause": cause,
        "without (a): uniform policies": replace(cause, logits=torch.zeros_like(cause.logits)),
        "xor": make_game("xor"),
    }
    for label, game in games.items():
        value = game.state_spread()[..., 0, 1].max().item()
        action = game.action_spread()[..., 1, 0].max().item()
        averaged = game.averaged_spread()[..., 1, 0].max().item()
        report(
            f"Theorem 2, {label}",
            f"s_1 moves V_0, Q_0 by {value:.1e}; "
            f"a_1 moves Q_0 by {action:.2f}, Q̄_0 by {averaged:.2f}",
        )


def report_variance(game: str, points: Points, agents: int) -> None:
    """Variance and bias of the largest team."""
    minimal, team, own, transposed = (values[-1] for values in points.values())
    report(
        f"Variance, {game}, {agents} agents",
        f"minimal {minimal[0]:.4f}, global {team[0]:.4f}, {team[0] / minimal[0]:.1f} times as much",
    )
    report(
        f"Relative bias, {game}, {agents} agents",
        f"minimal {minimal[1]:.0e}, own return {own[1]:.2f}, transposed {transposed[1]:.2f}",
    )
