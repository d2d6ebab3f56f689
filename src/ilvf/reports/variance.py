"""Variance and bias of the policy gradient under several credits, on tabular games."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ilvf.envs import TabularGame, make_game
from ilvf.reports.drawing import COLOURS

GAMES = ("chain", "star", "pairs")
POLICIES = 32  # random policies that every number is averaged over


class Credit(NamedTuple):
    """An influence to compare, and how its curve looks."""

    influence: Callable[[TabularGame], Tensor]
    colour: str
    style: str
    marker_size: int  # different sizes keep coinciding curves visible


CREDITS = {
    "minimal set (ILVF)": Credit(lambda g: g.influence(), COLOURS[0], "o-", 3),
    "everybody (global)": Credit(lambda g: torch.ones(g.n_agents, g.n_agents), COLOURS[1], "o-", 7),
    "own return only": Credit(lambda g: torch.eye(g.n_agents), "0.5", "s--", 3),
    "transposed set": Credit(lambda g: g.influence().mT, COLOURS[4], "s--", 6),
}
Points = dict[str, list[tuple[float, float]]]  # credit → (variance, bias) for each team size


def variance_and_bias(name: str, agents: Sequence[int]) -> Points:
    """Variance and relative bias of every credit, over all agents and random policies.

    The bias is ‖g − ∇J‖ / ‖∇J‖.

    Args:
        name: of the game.
        agents: team sizes.
    """
    points: Points = {label: [] for label in CREDITS}
    for n in agents:
        game = make_game(name, n_agents=n, games=POLICIES)
        truth = game.policy_gradient()
        for label, credit in CREDITS.items():
            influence = credit.influence(game)
            error = game.local_policy_gradient(influence) - truth
            variance = game.gradient_variance(influence).mean().item()
            points[label].append((variance, (error.norm() / truth.norm()).item()))
    return points


def draw_variance(results: dict[str, Points], agents: Sequence[int]) -> Figure:
    """Variance above, bias below, one column a game.

    Args:
        results: game → points of `variance_and_bias`.
        agents: team sizes.
    """
    figure = Figure(figsize=(9, 5.4), layout="constrained")
    figure.suptitle(f"Exact policy gradients of tabular games, mean over {POLICIES} policies")
    axes = figure.subplots(2, len(results), sharex=True, sharey="row", squeeze=False)
    for column, (name, points) in enumerate(results.items()):
        for row in range(2):
            for depth, (label, credit) in enumerate(CREDITS.items()):
                axes[row, column].plot(
                    agents,
                    [pair[row] for pair in points[label]],
                    credit.style,
                    ms=credit.marker_size,
                    color=credit.colour,
                    label=label,
                    zorder=5 - depth,
                )
        axes[0, column].set_title(f"game: {name}")
        axes[1, column].set(xlabel="number of agents", xticks=list(agents))
    for row, unit in enumerate(("variance of the gradient", "bias ÷ norm of the gradient")):
        axes[row, 0].set_ylabel(unit)
        axes[row, 0].set_ylim(bottom=-0.03 * axes[row, 0].get_ylim()[1])
        for axis in axes[row]:
            axis.grid(alpha=0.3)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure
