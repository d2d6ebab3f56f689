"""Parts that tabular games are built from. Axes as in `game`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ilvf.envs.tabular.game import digits
from ilvf.envs.tabular.theory import TabularGame


@dataclass(frozen=True)
class Tables:
    """A game without its policy, in which agents move independently given (s, a).

    Attributes:
        states: numbers of local states of the N agents.
        actions: numbers of actions.
        parts: P_i(s'_i | s, a), one `[G, S, A, S_i]` per agent; G is the number of games, or 1.
        reward: r_i(s, a), `[G, S, A, N]`.
        graph: observation graph, bool `[N, N]` or `[G, N, N]`.
    """

    states: tuple[int, ...]
    actions: tuple[int, ...]
    parts: list[Tensor]
    reward: Tensor
    graph: Tensor

    def game(self, logits: Tensor, gamma: float) -> TabularGame:
        """The games with these policies, which start uniformly.

        Args:
            logits: `[G, N, S, Amax]`.
            gamma: discount.
        """
        g = len(logits)
        s = math.prod(self.states)
        a = math.prod(self.actions)
        return TabularGame(
            states=self.states,
            actions=self.actions,
            transition=product_transition(self.parts).expand(g, s, a, s),
            reward=self.reward.expand(g, s, a, -1),
            start=torch.full((g, s), 1 / s, dtype=torch.float64),
            observation_graph=self.graph,
            logits=logits,
            gamma=gamma,
        )


def product_transition(parts: Sequence[Tensor]) -> Tensor:
    """Joint transition of agents that move independently: P(s' | s, a) = Π_i P_i(s'_i | s, a).

    Args:
        parts: `[G, S, A, S_i]` per agent.

    Returns:
        `[G, S, A, S]`.
    """
    joint = parts[0]
    for part in parts[1:]:
        joint = (joint.unsqueeze(-1) * part.unsqueeze(-2)).flatten(-2)
    return joint


def local_grids(states: Sequence[int], actions: Sequence[int]) -> tuple[Tensor, Tensor]:
    """(s_i `[S, 1, N]`, a_i `[1, A, N]`) as float64, which broadcast into tables."""
    return digits(states).double().unsqueeze(1), digits(actions).double().unsqueeze(0)


def bernoulli(probability: Tensor) -> Tensor:
    """A distribution `[1, S, A, 2]` with P(1) = `probability` `[S, A]`."""
    return torch.stack([1 - probability, probability], -1).unsqueeze(0)


def uniform(size: int, n_states: int, n_actions: int) -> Tensor:
    """A uniform distribution of `size` local states, `[1, S, A, size]`."""
    return torch.full((1, n_states, n_actions, size), 1 / size, dtype=torch.float64)
