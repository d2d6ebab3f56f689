"""Ready-made tabular games whose influence is known, and random families.

| game | who moves whose return | agents |
|---|---|---|
| `chain` | i moves i and i + 1 | 2 to 8 |
| `star` | agent 0 moves everybody, the others themselves | 2 to 8 |
| `pairs` | {0, 1}, {2, 3}, ... move each other | 2 to 8 |
| `switch` | agent 0 moves itself and agent 1 + (its state); the others themselves | 2 to 8 |
| `common_cause` | counter-example: no S-V influence of 1 on 0, and yet a_1 moves Q̄_0 | 3 |
| `xor` | counter-example: no S-V influence of 1 on 0, a_1 moves Q_0 but not Q̄_0 | 2 |
| `matching` | everybody itself alone: what is good for one is good for all | 2 to 8 |
| `gifts` | i moves i and i + 1, on a ring: what is good for all is bad for each | 2 to 8 |
| `hidden_pairs` | random: a_2 moves Q_0 but not Q̄_0, the rest as it comes | 3 to 8 |
| `random` | random and sparse | 2 to 8 |

Axes as in `tabular_theory`. The seed draws policies, and the tables of the random families.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ilvf.envs.tabular.theory import TabularGame, digits
from ilvf.errors import require, require_choice

MAX_AGENTS = 8  # with two local states and actions a transition table has 8^N entries


def product_transition(parts: Sequence[Tensor]) -> Tensor:
    """Agents that move independently given (s, a): P(s' | s, a) = Π_i P_i(s'_i | s, a).

    parts: one `[G, S, A, S_i]` per agent → `[G, S, A, S]`
    """
    joint = parts[0]
    for part in parts[1:]:
        joint = (joint.unsqueeze(-1) * part.unsqueeze(-2)).flatten(-2)
    return joint


def grid(states: Sequence[int], actions: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Local states `[S, 1, N]` and local actions `[1, A, N]` as numbers, ready to broadcast into tables."""
    return digits(states).double().unsqueeze(1), digits(actions).double().unsqueeze(0)


def steered(s: Tensor, a: Tensor) -> list[Tensor]:
    """Everybody moves the own bit: P(s'_i = 1) = 0.1 + 0.6 a_i + 0.2 s_i.  One `[1, S, A, 2]` per agent."""
    up = 0.1 + 0.6 * a + 0.2 * s
    return [torch.stack([1 - p, p], -1).unsqueeze(0) for p in up.unbind(-1)]


# ---------------------------------------------------------------------- one function per game
Tables = tuple[
    tuple[int, ...], tuple[int, ...], list[Tensor], Tensor, Tensor
]  # states, actions, parts, reward, graph


def chain(n: int) -> Tables:
    """r_0 = s_0, r_i = 1[s_i ≠ s_{i−1}]: an agent's state enters its own reward and the next one's."""
    s, a = grid((2,) * n, (2,) * n)
    reward = torch.cat([s[..., :1], (s[..., 1:] - s[..., :-1]).abs()], -1)
    return (2,) * n, (2,) * n, steered(s, a), reward, torch.eye(n, dtype=torch.bool)


def star(n: int) -> Tables:
    """r_0 = s_0, r_i = 1[s_i ≠ s_0]: the hub's state enters every reward."""
    s, a = grid((2,) * n, (2,) * n)
    reward = torch.cat([s[..., :1], (s[..., 1:] - s[..., :1]).abs()], -1)
    return (2,) * n, (2,) * n, steered(s, a), reward, torch.eye(n, dtype=torch.bool)


def pairs(n: int) -> Tables:
    """r_i = 1[s_i ≠ s_partner], partners 0-1, 2-3, ...; r_i = s_i for an odd one left over."""
    s, a = grid((2,) * n, (2,) * n)
    partner = [min(i ^ 1, n - 1) for i in range(n)]
    reward = (s - s[..., partner]).abs()
    if n % 2:
        reward[..., -1] = s[..., -1]
    return (2,) * n, (2,) * n, steered(s, a), reward, torch.eye(n, dtype=torch.bool)


def switch(n: int) -> Tables:
    """r_0 = a_0, r_i = s_i + a_0 1[m = i − 1]: agent 0's state is a mode m that says whose reward its action enters.

    The mode wanders by itself, or else a_0 would reach everybody later; of agent 1 + m there may be none.
    """
    modes = max(2, n - 1)
    states, actions = (modes, *(2,) * (n - 1)), (2,) * n
    s, a = grid(states, actions)
    wander = 0.5 / modes + 0.5 * torch.eye(
        modes, dtype=torch.float64
    )  # stay with half the weight, else anywhere
    mode = wander[s[..., 0].long()].unsqueeze(0).expand(1, s.shape[0], a.shape[1], modes)
    moved = (s[..., :1] == torch.arange(n - 1)).double() * a[..., :1]  # [S, A, N−1]
    reward = torch.cat([a[..., :1].expand(s.shape[0], -1, -1), s[..., 1:] + moved], -1)
    return states, actions, [mode, *steered(s, a)[1:]], reward, torch.eye(n, dtype=torch.bool)


def common_cause(n: int = 3) -> Tables:
    """r_0 = 1[a_1 = 1] − 1[a_2 = 1]; s_1, a fair coin, drives the policies of 1 and 2 alike."""
    states, actions = (1, 2, 1), (2, 2, 2)
    _, a = grid(states, actions)
    reward = torch.zeros(2, 8, 3, dtype=torch.float64)
    reward[..., 0] = a[..., 1] - a[..., 2]
    graph = torch.eye(3, dtype=torch.bool)
    graph[2, 1] = True
    return (
        states,
        actions,
        [torch.full((1, 2, 8, k), 1 / k, dtype=torch.float64) for k in states],
        reward,
        graph,
    )


def xor(n: int = 2) -> Tables:
    """r_0 = a_0 XOR a_1, where π_0 is uniform and s_1, a fair coin, drives π_1."""
    states, actions = (1, 2), (2, 2)
    _, a = grid(states, actions)
    reward = torch.zeros(2, 4, 2, dtype=torch.float64)
    reward[..., 0] = (a[..., 0] - a[..., 1]).abs()
    parts = [torch.full((1, 2, 4, k), 1 / k, dtype=torch.float64) for k in states]
    return states, actions, parts, reward, torch.eye(2, dtype=torch.bool)


def matching(n: int) -> Tables:
    """r_i = 1[a_i = s_i], s_i a fair coin: the best policy gets 1 per agent and step, and nobody depends on anybody."""
    s, a = grid((2,) * n, (2,) * n)
    reward = 1 - (s - a).abs()
    coins = [torch.full((1, *reward.shape[:2], 2), 0.5, dtype=torch.float64)] * n
    return (2,) * n, (2,) * n, coins, reward, torch.eye(n, dtype=torch.bool)


def gifts(n: int) -> Tables:
    """r_i = 2 s_{i−1} − s_i on a ring, s_i' = a_i: being in state 1 costs an agent 1 and gives its neighbour 2.

    For an agent that looks at its own return, action 0 is best whatever the others do, and all then get 0; if all
    choose 1, each gets 1.
    """
    s, a = grid((2,) * n, (2,) * n)
    reward = (2 * s.roll(1, -1) - s).expand(-1, a.shape[1], -1).clone()
    parts = [
        torch.stack([1 - p, p], -1).expand(s.shape[0], -1, -1).unsqueeze(0) for p in a.unbind(-1)
    ]
    return (2,) * n, (2,) * n, parts, reward, torch.eye(n, dtype=torch.bool)


GAMES = (chain, star, pairs, switch, common_cause, xor, matching, gifts)
TABLES: dict[str, Callable[[int], Tables]] = {f.__name__: f for f in GAMES}
NAMES = (*TABLES, "hidden_pairs", "random")
AGENTS = {"common_cause": (3, 3), "xor": (2, 2), "hidden_pairs": (3, MAX_AGENTS)}  # fewest, most


def make_game(
    name: str, *, n_agents: int | None = None, seed: int = 0, games: int = 1, gamma: float = 0.9
) -> TabularGame:
    """`games` copies of the game called `name`, which differ in their policies (random families: in everything)."""
    require_choice("game", name, NAMES)
    fewest, most = AGENTS.get(name, (2, MAX_AGENTS))
    n = n_agents if n_agents is not None else max(fewest, min(3, most))
    number = str(fewest) if fewest == most else f"{fewest} to {most}"
    require(
        fewest <= n <= most,
        f"n_agents={n}: {name} has {number} agents; try {min(max(n, fewest), most)}",
    )
    if name == "random":
        return random_game(games, states=(2,) * n, actions=(2,) * n, seed=seed, gamma=gamma)
    if name == "hidden_pairs":
        return hidden_pairs(games, n_agents=n, seed=seed, gamma=gamma)
    states, actions, parts, reward, graph = TABLES[name](n)
    logits = torch.randn(games, n, math.prod(states), 2, generator=_rng(seed), dtype=torch.float64)
    if name in ("common_cause", "xor"):
        logits = _driven_by_s1(logits)
    return _assemble(states, actions, parts, reward.unsqueeze(0), graph, logits, gamma)


def _rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _driven_by_s1(logits: Tensor) -> Tensor:
    """π_0 uniform; all others the same function of s_1 (the only state that varies): the common cause."""
    shared = logits[:, 1:2].expand(-1, logits.shape[1] - 1, -1, -1)
    return torch.cat([torch.zeros_like(logits[:, :1]), shared], 1)


def _assemble(
    states: tuple[int, ...],
    actions: tuple[int, ...],
    parts: list[Tensor],
    reward: Tensor,
    graph: Tensor,
    logits: Tensor,
    gamma: float,
) -> TabularGame:
    g, s, a = len(logits), math.prod(states), math.prod(actions)
    transition = product_transition(parts).expand(g, s, a, s)
    start = torch.full((g, s), 1 / s, dtype=torch.float64)
    return TabularGame(
        states, actions, transition, reward.expand(g, s, a, -1), start, graph, logits, gamma
    )


# ---------------------------------------------------------------------- random families
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

    Whose state and whose action enters whose next state and reward, and whose state enters whose policy: each of these
    couplings is there with probability `density`, an agent's with itself always.
    """
    rng, n = _rng(seed), len(states)

    def graph() -> Tensor:
        return (torch.rand(games, n, n, generator=rng) < density) | torch.eye(n, dtype=torch.bool)

    parts = [
        _table(states, actions, graph()[:, i], graph()[:, i], states[i], rng).softmax(-1)
        for i in range(n)
    ]
    reward = torch.cat(
        [_table(states, actions, graph()[:, i], graph()[:, i], 1, rng) for i in range(n)], -1
    )
    logits = torch.randn(
        games, n, math.prod(states), max(actions), generator=rng, dtype=torch.float64
    )
    return _assemble(states, actions, parts, reward, graph(), logits, gamma)


def _table(
    states: Sequence[int],
    actions: Sequence[int],
    by_state: Tensor,
    by_action: Tensor,
    width: int,
    rng: torch.Generator,
) -> Tensor:
    """Normal numbers `[G, S, A, width]` that vary only with s_j, `by_state[g, j]`, and a_j, `by_action[g, j]`."""
    depends = torch.cat([by_state, by_action], 1)  # [G, 2N]
    x = torch.randn(len(depends), *states, *actions, width, generator=rng, dtype=torch.float64)
    for v, flag in enumerate(depends.unbind(1), start=1):
        x = torch.where(flag.view(-1, *[1] * (x.ndim - 1)), x, x.narrow(v, 0, 1))
    return x.flatten(1, len(states)).flatten(2, -2)


def hidden_pairs(
    games: int = 1, *, n_agents: int = 3, own_actions: int = 2, seed: int = 0, gamma: float = 0.9
) -> TabularGame:
    """Agent 2 moves Q_0 at every state, and no value can tell: its effect averages out under π_1.

    Agents 0 (i), 1 (k), 2 (j). s_j drives π_j alone, with as many states as actions (`own_actions`), so that j has S-P
    influence on itself. s_j and a_j enter r_j and s'_j as they like, and beyond these only two terms centred under π_k:

        r_i = base(s_{−j}, a_{−j}) + c(s_{−j}, a_k, a_j)       Σ_{a_k} π_k(a_k | o_k) c(s_{−j}, a_k, a_j) = 0
        P(s'_i = 1) = 0.35 + 0.3 base'(s_{−j}, a_i) + c'(s_{−j}, a_k, a_j)      likewise, |c'| < 0.3

    a_k enters no next state but s'_i and s'_j: it would correlate with c' and let a_j back in.
    """
    rng, (i, k, j) = _rng(seed), (0, 1, 2)
    sizes = tuple(own_actions if m == j else 2 for m in range(n_agents))  # of states and of actions
    seen = torch.rand(games, n_agents, n_agents, generator=rng) < 0.5
    seen[:, :, j] = False
    logits = torch.randn(
        games, n_agents, math.prod(sizes), own_actions, generator=rng, dtype=torch.float64
    )

    def table(by_states: Sequence[int], by_actions: Sequence[int], width: int = 1) -> Tensor:
        s, a = (
            torch.tensor([m in who for m in range(n_agents)]).expand(games, -1)
            for who in (by_states, by_actions)
        )
        return _table(sizes, sizes, s, a, width, rng)

    everyone = range(n_agents)
    others = [m for m in everyone if m != j]
    scope = [everyone if m == j else others for m in everyone]
    reward = torch.cat([table(scope[m], scope[m]) for m in everyone], -1)
    acts = [everyone if m == j else [] if m == k else [m] for m in everyone]
    parts = [table(scope[m], acts[m], sizes[m]).softmax(-1) for m in everyone]
    game = _assemble(
        sizes, sizes, parts, reward, seen | torch.eye(n_agents, dtype=torch.bool), logits, gamma
    )
    up = 0.35 + 0.3 * parts[i][..., 1:] + _centred(0.15 * table(others, (k, j)).tanh(), game, k)
    parts[i] = torch.cat([1 - up, up], -1)
    reward[..., i : i + 1] += _centred(table(others, (k, j)), game, k)
    return replace(game, transition=product_transition(parts), reward=reward)


def _centred(x: Tensor, game: TabularGame, k: int) -> Tensor:
    """x − Σ_{a_k} π_k(a_k | o_k) x for a table `[G, S, A, 1]`."""
    pi = game.policy()[:, k, :, game.local_actions[:, k]].unsqueeze(-1)  # [G, S, A, 1]
    mean = (pi * x).unflatten(2, game.actions).sum(2 + k, keepdim=True)
    return x - mean.expand(-1, -1, *game.actions, -1).flatten(2, -2)
