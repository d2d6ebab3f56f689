"""The grid world of Predator Capture Prey: moves, encounters, and the rule `seek`.

Positions are (row, column), int64: of N agents `[B, N, 2]`, of K prey `[B, K, 2]`.
"""

import torch
from torch import Tensor

UP, RIGHT, DOWN, LEFT, STAY, CAPTURE = range(6)
MOVES = torch.tensor([[-1, 0], [0, 1], [1, 0], [0, -1], [0, 0], [0, 0]])  # (row, column) by action


def walk(position: Tensor, move: Tensor, dim: int) -> Tensor:
    """Positions after a move, `[B, N, 2]`; moves out of the grid have no effect."""
    return (position + move).clamp(0, dim - 1)


def same_cell(position: Tensor, other: Tensor) -> Tensor:
    """bool `[B, I, J]`: is i on the cell of j?

    Args:
        position: `[B, I, 2]`.
        other: `[B, J, 2]`.
    """
    same_row = position[..., 0].unsqueeze(2) == other[..., 0].unsqueeze(1)
    same_column = position[..., 1].unsqueeze(2) == other[..., 1].unsqueeze(1)
    return same_row & same_column


def on_prey(position: Tensor, prey: Tensor) -> Tensor:
    """bool `[B, N]`: is an agent on the cell of any prey?"""
    return same_cell(position, prey).any(-1)


def nearest(position: Tensor, prey: Tensor) -> Tensor:
    """Position of the prey that is the fewest steps away, `[B, N, 2]`; the first of equals."""
    k = prey.shape[1]
    if k == 1:
        return prey.expand_as(position)
    steps = (prey.unsqueeze(1) - position.unsqueeze(2)).abs().sum(-1)  # [B, N, K]
    first = (steps * k + torch.arange(k, device=steps.device)).argmin(-1)
    return prey.gather(1, first.unsqueeze(-1).expand(-1, -1, 2))


def legal_moves(dim: int) -> tuple[Tensor, Tensor]:
    """The moves 0 to 4 that stay on the grid.

    Returns:
        For every cell its legal moves, then the others, `[D, D, 5, 2]`, and the number of legal
        ones, `[D, D]`.
    """
    moves = MOVES[:CAPTURE]
    line = torch.arange(dim)
    after = torch.cartesian_prod(line, line).view(dim, dim, 1, 2) + moves
    legal = ((after >= 0) & (after < dim)).all(-1)  # [D, D, 5]
    legal_first = legal.int().sort(dim=-1, descending=True, stable=True).indices
    return moves[legal_first], legal.sum(-1)


def wander(prey: Tensor, position: Tensor, chance: Tensor, moves: Tensor, count: Tensor) -> Tensor:
    """Positions of the prey after a random legal move; a prey with an agent on it stays.

    Args:
        prey: `[B, K, 2]`.
        position: of the agents, `[B, N, 2]`.
        chance: `[B, K]`; uniform numbers in [0, 1) make all legal moves equally likely.
        moves, count: returned by `legal_moves`.
    """
    row, column = prey.unbind(-1)
    choice = (chance * count[row, column]).long()
    move = moves[row, column, choice]
    stays = same_cell(prey, position).any(-1, keepdim=True)
    return torch.where(stays, prey, prey + move)


def seek(state: Tensor) -> Tensor:
    """The rule `seek`: walk to the nearest prey, rows first, and capture it.

    Args:
        state: `[*B, N, 7]`.

    Returns:
        Actions `[*B, N]`.
    """
    is_action = state[..., 2].long()
    down = state[..., 5]
    right = state[..., 6]
    on_the_prey = STAY + is_action  # action agents capture
    sideways = torch.where(right > 0, RIGHT, torch.where(right < 0, LEFT, on_the_prey))
    return torch.where(down > 0, DOWN, torch.where(down < 0, UP, sideways))
