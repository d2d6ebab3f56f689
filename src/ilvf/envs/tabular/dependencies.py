"""The transition and reward graphs of a tabular game, worked out from its tables."""

import torch
from torch import Tensor

from ilvf.envs.tabular.game import Game

TOL = 1e-12  # larger differences are not zero


def transition_graph(game: Game) -> Tensor:
    """bool `[N, N]`: s_j or a_j enters P(s'_i | s, a), diagonal True.

    Where the agents do not move independently, row i is about the joint distribution P(s' | s, a)
    instead, for all i.

    Args:
        game: one game.
    """
    joint = game.transition[0]  # [S, A, S]
    by_agent = joint.unflatten(-1, game.states)  # [S, A, S_1, ..., S_N]
    marginals = [_marginal(by_agent, i) for i in range(game.n_agents)]
    product = torch.stack([m.expand_as(by_agent) for m in marginals]).prod(0)
    if torch.allclose(product, by_agent, atol=TOL):
        return _graph(game, [m.flatten(2) for m in marginals])
    return _graph(game, [joint] * game.n_agents)


def _marginal(by_agent: Tensor, i: int) -> Tensor:
    """P(s'_i | s, a), `[S, A, 1, ..., S_i, ..., 1]`."""
    others = [axis for axis in range(2, by_agent.ndim) if axis != 2 + i]
    return by_agent.sum(others, keepdim=True) if others else by_agent


def reward_graph(game: Game) -> Tensor:
    """bool `[N, N]`: s_j or a_j enters r_i(s, a), diagonal True.

    Args:
        game: one game.
    """
    return _graph(game, [r.unsqueeze(-1) for r in game.reward[0].unbind(-1)])


def _graph(game: Game, tables: list[Tensor]) -> Tensor:
    """bool `[N, N]`: s_j or a_j changes a number in table i `[S, A, K]`, or i = j."""
    rows = []
    for table in tables:
        x = table.unflatten(1, game.actions).unflatten(0, game.states)
        # [S_1, ..., S_N, A_1, ..., A_N, K]
        spreads = [(x.amax(v) - x.amin(v)).max() for v in range(2 * game.n_agents)]
        changes = torch.stack(spreads) > TOL
        rows.append(changes.view(2, -1).any(0))  # by s_j or by a_j
    return torch.stack(rows) | torch.eye(game.n_agents, dtype=torch.bool)
