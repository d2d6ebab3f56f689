"""Ready-made tabular games, by name.

| game | influence of actions on returns | agents |
|---|---|---|
| `chain` | i on i and i + 1 | 2 to 8 |
| `star` | agent 0 on all, the others on themselves | 2 to 8 |
| `pairs` | {0, 1}, {2, 3}, ... on each other | 2 to 8 |
| `switch` | agent 0 on itself and agent 1 + (its state); the others on themselves | 2 to 8 |
| `common_cause` | counter-example: no S-V influence of 1 on 0, but a_1 changes Q̄_0 | 3 |
| `xor` | counter-example: no S-V influence of 1 on 0, a_1 changes Q_0 but not Q̄_0 | 2 |
| `matching` | each agent on itself; the best for one is the best for all | 2 to 8 |
| `gifts` | i on i and i + 1, on a ring; the best for all is the worst for each | 2 to 8 |
| `hidden_pairs` | random: a_2 changes Q_0 but not Q̄_0 | 3 to 8 |
| `random` | random and sparse | 2 to 8 |
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ilvf.envs.tabular import known_games
from ilvf.envs.tabular.random_games import hidden_pairs, random_game
from ilvf.envs.tabular.tables import Tables
from ilvf.envs.tabular.theory import TabularGame
from ilvf.errors import require, require_choice

MAX_AGENTS = 8  # with two local states and actions a transition table has 8^N entries
KNOWN_GAMES: dict[str, Callable[[int], Tables]] = {
    "chain": known_games.chain,
    "star": known_games.star,
    "pairs": known_games.pairs,
    "switch": known_games.switch,
    "common_cause": known_games.common_cause,
    "xor": known_games.xor,
    "matching": known_games.matching,
    "gifts": known_games.gifts,
}
NAMES = (*KNOWN_GAMES, "hidden_pairs", "random")
AGENTS = {"common_cause": (3, 3), "xor": (2, 2), "hidden_pairs": (3, MAX_AGENTS)}  # fewest, most


def make_game(
    name: str, *, n_agents: int | None = None, seed: int = 0, games: int = 1, gamma: float = 0.9
) -> TabularGame:
    """Copies of a game that differ in their policies, or members of a random family.

    Args:
        name: see the module's docstring.
        n_agents: N; None is 3, or the game's only number.
        seed: of the policies, and of the tables of random families.
        games: G, number of copies.
        gamma: discount.

    Raises:
        UsageError: an unknown name, or a number of agents that the game does not have.
    """
    require_choice("game", name, NAMES)
    n = _number_of_agents(name, n_agents)
    if name == "random":
        two = (2,) * n
        return random_game(games, states=two, actions=two, seed=seed, gamma=gamma)
    if name == "hidden_pairs":
        return hidden_pairs(games, n_agents=n, seed=seed, gamma=gamma)
    tables = KNOWN_GAMES[name](n)
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randn(games, n, math.prod(tables.states), 2, generator=rng, dtype=torch.float64)
    if name in ("common_cause", "xor"):
        logits = _driven_by_s1(logits)
    return tables.game(logits, gamma)


def _number_of_agents(name: str, n_agents: int | None) -> int:
    fewest, most = AGENTS.get(name, (2, MAX_AGENTS))
    if n_agents is None:
        return max(fewest, min(3, most))
    number = str(fewest) if fewest == most else f"{fewest} to {most}"
    require(
        fewest <= n_agents <= most,
        f"n_agents={n_agents}: {name} has {number} agents; try {min(max(n_agents, fewest), most)}",
    )
    return n_agents


def _driven_by_s1(logits: Tensor) -> Tensor:
    """π_0 uniform; all others the same function of s_1, the only state that varies."""
    shared = logits[:, 1:2].expand(-1, logits.shape[1] - 1, -1, -1)
    return torch.cat([torch.zeros_like(logits[:, :1]), shared], 1)
