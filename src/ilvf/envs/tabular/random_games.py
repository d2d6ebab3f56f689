"""Random families of tabular games."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ilvf.envs.tabular.tables import Tables, product_transition
from ilvf.envs.tabular.theory import TabularGame


def random_game(
    games: int = 1,
    *,
    states: tuple[int, ...] = (2, 2, 2),
    actions: tuple[int, ...] = (2, 2, 2),
    density: float = 0.1,
    seed: int = 0,
    gamma: float = 0.9,
) -> TabularGame:
    """Games with random sparse couplings.

    Each s_j and each a_j enters the next state and the reward of agent i with probability
    `density`, and so does s_j the policy of agent i; always for i = j.

    Args:
        games: G.
        states, actions: numbers of local states and actions of each agent.
        density: probability of a coupling.
        seed: of the tables and policies.
        gamma: discount.
    """
    rng = torch.Generator().manual_seed(seed)
    n = len(states)
    diagonal = torch.eye(n, dtype=torch.bool)

    def graph() -> Tensor:
        return (torch.rand(games, n, n, generator=rng) < density) | diagonal

    def tables(sizes: Sequence[int]) -> list[Tensor]:
        """One table per agent, each with couplings of its own."""
        return [
            sparse_table(states, actions, graph()[:, i], graph()[:, i], size, rng)
            for i, size in enumerate(sizes)
        ]

    parts = [table.softmax(-1) for table in tables(states)]
    reward = torch.cat(tables([1] * n), -1)
    shape = (games, n, math.prod(states), max(actions))
    logits = torch.randn(shape, generator=rng, dtype=torch.float64)
    return Tables(states, actions, parts, reward, graph()).game(logits, gamma)


def sparse_table(
    states: Sequence[int],
    actions: Sequence[int],
    by_state: Tensor,
    by_action: Tensor,
    width: int,
    rng: torch.Generator,
) -> Tensor:
    """Normal numbers that depend only on chosen local states and actions.

    Args:
        states, actions: numbers of local states and actions of each agent.
        by_state, by_action: bool `[G, N]`, True where the numbers depend on s_j or a_j.
        width: numbers per joint state and action.
        rng: generator.

    Returns:
        `[G, S, A, width]`.
    """
    depends = torch.cat([by_state, by_action], 1)  # [G, 2N]
    x = torch.randn(len(depends), *states, *actions, width, generator=rng, dtype=torch.float64)
    for axis, flag in enumerate(depends.unbind(1), start=1):
        wide_flag = flag.view(-1, *[1] * (x.ndim - 1))
        x = torch.where(wide_flag, x, x.narrow(axis, 0, 1))
    return x.flatten(1, len(states)).flatten(2, -2)


def hidden_pairs(
    games: int = 1, *, n_agents: int = 3, own_actions: int = 2, seed: int = 0, gamma: float = 0.9
) -> TabularGame:
    """Games in which a_2 changes Q_0 in every state, but not Q̄_0: it averages out under π_1.

    Agents 0 (i), 1 (k), 2 (j). s_j drives π_j alone, with as many states as actions
    (`own_actions`), so that j has S-P influence on itself. s_j and a_j enter r_j and s'_j freely,
    and otherwise only two terms that are centred under π_k:

        r_i = base(s_{−j}, a_{−j}) + c(s_{−j}, a_k, a_j),   Σ_{a_k} π_k(a_k | o_k) c = 0
        P(s'_i = 1) = 0.35 + 0.3 base'(s_{−j}, a_i) + c'(s_{−j}, a_k, a_j),   likewise, |c'| < 0.3

    a_k enters no next state except s'_i and s'_j; otherwise it would correlate with c', and a_j
    would change Q̄_0.

    Args:
        games: G.
        n_agents: N, at least 3.
        own_actions: numbers of states and of actions of agent 2.
        seed: of the tables and policies.
        gamma: discount.
    """
    rng = torch.Generator().manual_seed(seed)
    i, k, j = range(3)
    sizes = tuple(own_actions if m == j else 2 for m in range(n_agents))  # of states and of actions
    seen = torch.rand(games, n_agents, n_agents, generator=rng) < 0.5
    seen[:, :, j] = False
    graph = seen | torch.eye(n_agents, dtype=torch.bool)
    shape = (games, n_agents, math.prod(sizes), own_actions)
    logits = torch.randn(shape, generator=rng, dtype=torch.float64)

    def table(by_states: Sequence[int], by_actions: Sequence[int], width: int = 1) -> Tensor:
        by_state = _members(by_states, n_agents).expand(games, -1)
        by_action = _members(by_actions, n_agents).expand(games, -1)
        return sparse_table(sizes, sizes, by_state, by_action, width, rng)

    everyone = range(n_agents)
    others = [m for m in everyone if m != j]

    def scope(m: int) -> Sequence[int]:
        """The agents whose states enter s'_m, and whose states and actions enter r_m."""
        return everyone if m == j else others

    def steering(m: int) -> Sequence[int]:
        """The agents whose actions enter s'_m."""
        if m == k:
            return []
        return everyone if m == j else [m]

    reward = torch.cat([table(scope(m), scope(m)) for m in everyone], -1)
    parts = [table(scope(m), steering(m), sizes[m]).softmax(-1) for m in everyone]
    game = Tables(sizes, sizes, parts, reward, graph).game(logits, gamma)
    centred = _centred(0.15 * table(others, (k, j)).tanh(), game, k)
    up = 0.35 + 0.3 * parts[i][..., 1:] + centred
    parts[i] = torch.cat([1 - up, up], -1)
    reward[..., i : i + 1] += _centred(table(others, (k, j)), game, k)
    return replace(game, transition=product_transition(parts), reward=reward)


def _members(agents: Sequence[int], n_agents: int) -> Tensor:
    """bool `[N]`: is an agent among these?"""
    return torch.tensor([m in agents for m in range(n_agents)])


def _centred(x: Tensor, game: TabularGame, k: int) -> Tensor:
    """x − Σ_{a_k} π_k(a_k | o_k) x for a table `[G, S, A, 1]`."""
    pi = game.policy()[:, k, :, game.local_actions[:, k]].unsqueeze(-1)  # [G, S, A, 1]
    mean = (pi * x).unflatten(2, game.actions).sum(2 + k, keepdim=True)
    return x - mean.expand(-1, -1, *game.actions, -1).flatten(2, -2)
