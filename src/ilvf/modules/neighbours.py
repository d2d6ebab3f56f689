"""What each agent's network sees of its neighbours, gathered by their numbers."""

from typing import Any

import torch
from torch import Tensor

from ilvf.errors import require
from ilvf.options.arguments import found_words


def require_neighbours(of: str, neighbours: Any, n_agents: int) -> None:
    """Raise unless it has the numbers of each agent's neighbours, the own one first, `[N, K]`.

    Args:
        of: class or function whose argument it is.
        neighbours: None is accepted: there are no neighbours.
        n_agents: N.
    """
    if neighbours is None:
        return
    is_index = isinstance(neighbours, Tensor) and neighbours.dtype == torch.int64
    require(
        is_index and neighbours.ndim == 2 and len(neighbours) == n_agents,
        f"{of}: neighbours must be agents' numbers, int64 [{n_agents}, K], or None, "
        f"found {_found(neighbours)}",
    )
    require(
        0 < neighbours.shape[1] <= n_agents
        and bool(((neighbours >= 0) & (neighbours < n_agents)).all()),
        f"{of}: neighbours must be numbers from 0 to {n_agents - 1}, at least the own one",
    )
    number = torch.arange(n_agents, device=neighbours.device)
    require(
        torch.equal(neighbours[:, 0], number),
        f"{of}: the first of an agent's neighbours must be the agent itself",
    )
    in_order = neighbours.sort(-1).values
    require(
        bool((in_order[:, 1:] > in_order[:, :-1]).all()),
        f"{of}: an agent is there twice among the neighbours of another",
    )


def _found(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{value.dtype} {tuple(value.shape)}"
    return found_words(value)


def gathered(x: Tensor, neighbours: Tensor) -> Tensor:
    """Every agent's own and its neighbours' numbers: `[B, N, D]` → `[B, N, K, D]`.

    Args:
        neighbours: `[N, K]`.
    """
    found = x.index_select(1, neighbours.flatten())
    return found.unflatten(1, tuple(neighbours.shape))
