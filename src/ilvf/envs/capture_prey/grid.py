"""The grid world of Predator Capture Prey as functions: who moves where, who is on a prey.

Positions are (row, column), int64: of N agents `[B, N, 2]`, of K prey `[B, K, 2]`.
"""

import torch
from torch import Tensor

STAY, CAPTURE = 4, 5
MOVES = torch.tensor(
    [[-1, 0], [0, 1], [1, 0], [0, -1], [0, 0], [0, 0]]
)  # up, right, down, left, stay, capture


def walk(position: Tensor, move: Tensor, dim: int) -> Tensor:
    """One cell further; walls hold back.  [B, N, 2] both."""
    return (position + move).clamp(0, dim - 1)


def same_cell(position: Tensor, other: Tensor | None = None) -> Tensor:
    """bool `[B, N, K]`: is agent i on the cell of k?  Of prey, `[B, K, 2]`, or by default of the agents themselves."""
    other = position if other is None else other
    pairs = zip(position.unbind(-1), other.unbind(-1), strict=True)
    row, column = (own.unsqueeze(2) == theirs.unsqueeze(1) for own, theirs in pairs)
    return row & column


def on_prey(position: Tensor, prey: Tensor) -> Tensor:
    """bool `[B, N]`: is an agent on the cell of any prey?"""
    return same_cell(position, prey).any(-1)


def nearest(position: Tensor, prey: Tensor) -> Tensor:
    """Row and column of the nearest prey, `[B, N, 2]`: in steps, the first of equals."""
    k = prey.shape[1]
    if k == 1:
        return prey.expand_as(position)
    steps = (prey.unsqueeze(1) - position.unsqueeze(2)).abs().sum(-1)  # [B, N, K]
    first = (steps * k + torch.arange(k, device=steps.device)).argmin(-1)
    return prey.gather(1, first.unsqueeze(-1).expand(-1, -1, 2))


def legal_moves(dim: int) -> tuple[Tensor, Tensor]:
    """For every cell the moves 0 to 4 that stay on the grid, those first, `[D, D, 5, 2]`, and how many, `[D, D]`."""
    moves, line = MOVES[:CAPTURE], torch.arange(dim)
    cell = torch.cartesian_prod(line, line).view(dim, dim, 1, 2) + moves
    legal = ((cell >= 0) & (cell < dim)).all(-1)
    return moves[legal.int().sort(dim=-1, descending=True, stable=True).indices], legal.sum(-1)


def wander(prey: Tensor, position: Tensor, chance: Tensor, moves: Tensor, count: Tensor) -> Tensor:
    """Prey without an agent on them make a legal move, all equally likely for a uniform chance `[B, K]`.

    moves, count: of `legal_moves`.
    """
    row, column = prey.unbind(-1)
    step = moves[row, column, (chance * count[row, column]).long()]
    return torch.where(same_cell(prey, position).any(-1, keepdim=True), prey, prey + step)


def seek(state: Tensor) -> Tensor:
    """Actions `[*B, N]` from states `[*B, N, 7]`: walk to the nearest prey, rows first, and capture it."""
    role, down, right = state[..., 2].long(), state[..., 5], state[..., 6]
    sideways = torch.where(right > 0, 1, torch.where(right < 0, 3, STAY + role))
    return torch.where(down > 0, 2, torch.where(down < 0, 0, sideways))
