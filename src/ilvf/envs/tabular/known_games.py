"""Tabular games whose influence is known; `games` lists them. One function a game."""

import torch
from torch import Tensor

from ilvf.envs.tabular.tables import Tables, bernoulli, local_grids, uniform


def chain(n: int) -> Tables:
    """r_0 = s_0, r_i = 1[s_i ≠ s_{i−1}]: s_i enters the rewards of agents i and i + 1."""
    two = (2,) * n
    s, a = local_grids(two, two)
    reward = torch.cat([s[..., :1], (s[..., 1:] - s[..., :-1]).abs()], -1)
    return Tables(two, two, _steered(s, a), _wide(reward), _diagonal(n))


def star(n: int) -> Tables:
    """r_0 = s_0, r_i = 1[s_i ≠ s_0]: the state of agent 0 enters all rewards."""
    two = (2,) * n
    s, a = local_grids(two, two)
    reward = torch.cat([s[..., :1], (s[..., 1:] - s[..., :1]).abs()], -1)
    return Tables(two, two, _steered(s, a), _wide(reward), _diagonal(n))


def pairs(n: int) -> Tables:
    """r_i = 1[s_i ≠ s_partner] with partners 0-1, 2-3, ...; r_i = s_i for an agent without one."""
    two = (2,) * n
    s, a = local_grids(two, two)
    partner = [min(i ^ 1, n - 1) for i in range(n)]
    reward = (s - s[..., partner]).abs()
    if n % 2:
        reward[..., -1] = s[..., -1]
    return Tables(two, two, _steered(s, a), _wide(reward), _diagonal(n))


def switch(n: int) -> Tables:
    """r_0 = a_0, r_i = s_i + a_0 1[m = i − 1]: the state m of agent 0 chooses a reward for a_0.

    The mode m moves independently of all actions; otherwise a_0 would reach all rewards later. With
    two agents there are two modes, and no agent 1 + m for m = 1.
    """
    modes = max(2, n - 1)
    states = (modes, *(2,) * (n - 1))
    actions = (2,) * n
    s, a = local_grids(states, actions)
    n_states = len(s)
    stay_or_any = 0.5 / modes + 0.5 * torch.eye(modes, dtype=torch.float64)
    by_mode = stay_or_any[s[..., 0].long()]  # [S, 1, modes]
    mode = by_mode.unsqueeze(0).expand(1, n_states, 2**n, modes)
    chosen = (s[..., :1] == torch.arange(n - 1)).double() * a[..., :1]  # [S, A, N−1]
    reward = torch.cat([a[..., :1].expand(n_states, -1, -1), s[..., 1:] + chosen], -1)
    return Tables(states, actions, [mode, *_steered(s, a)[1:]], _wide(reward), _diagonal(n))


def common_cause(n: int = 3) -> Tables:
    """r_0 = 1[a_1 = 1] − 1[a_2 = 1]; s_1, a fair coin, drives the policies of agents 1 and 2."""
    states = (1, 2, 1)
    actions = (2, 2, 2)
    _, a = local_grids(states, actions)
    reward = torch.zeros(2, 8, 3, dtype=torch.float64)
    reward[..., 0] = a[..., 1] - a[..., 2]
    graph = _diagonal(3)
    graph[2, 1] = True
    parts = [uniform(k, 2, 8) for k in states]
    return Tables(states, actions, parts, _wide(reward), graph)


def xor(n: int = 2) -> Tables:
    """r_0 = a_0 XOR a_1, where π_0 is uniform and s_1, a fair coin, drives π_1."""
    states = (1, 2)
    actions = (2, 2)
    _, a = local_grids(states, actions)
    reward = torch.zeros(2, 4, 2, dtype=torch.float64)
    reward[..., 0] = (a[..., 0] - a[..., 1]).abs()
    parts = [uniform(k, 2, 4) for k in states]
    return Tables(states, actions, parts, _wide(reward), _diagonal(2))


def matching(n: int) -> Tables:
    """r_i = 1[a_i = s_i], where s_i is a fair coin: no agent depends on another.

    The best policy gets 1 per agent and step.
    """
    two = (2,) * n
    s, a = local_grids(two, two)
    reward = 1 - (s - a).abs()
    parts = [uniform(2, *reward.shape[:2])] * n
    return Tables(two, two, parts, _wide(reward), _diagonal(n))


def gifts(n: int) -> Tables:
    """r_i = 2 s_{i−1} − s_i on a ring, s_i' = a_i: state 1 costs an agent 1, the next one gets 2.

    For an agent that maximises its own return, action 0 is best whatever the others do, and all
    then get 0; if all choose 1, each gets 1.
    """
    two = (2,) * n
    s, a = local_grids(two, two)
    reward = (2 * s.roll(1, -1) - s).expand(-1, a.shape[1], -1).clone()
    parts = [bernoulli(own.expand(s.shape[0], -1)) for own in a.unbind(-1)]
    return Tables(two, two, parts, _wide(reward), _diagonal(n))


# ---------------------------------------------------------------------- helpers
def _steered(s: Tensor, a: Tensor) -> list[Tensor]:
    """Each agent moves its own bit: P(s'_i = 1) = 0.1 + 0.6 a_i + 0.2 s_i."""
    up = 0.1 + 0.6 * a + 0.2 * s  # [S, A, N]
    return [bernoulli(p) for p in up.unbind(-1)]


def _wide(reward: Tensor) -> Tensor:
    """`[S, A or 1, N]` → `[1, S, A or 1, N]`."""
    return reward.unsqueeze(0)


def _diagonal(n: int) -> Tensor:
    return torch.eye(n, dtype=torch.bool)
