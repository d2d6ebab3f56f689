"""Who tells whom what it sees: the communication graphs of Predator Capture Prey."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ilvf.errors import UsageError, require, require_choice

PRESETS = ("paired", "bipartite_pairs", "full", "none")


def communication_graph(
    graph: str | Tensor | Sequence[Sequence[bool]], n_perception: int, n_action: int
) -> Tensor:
    """bool `[N, N]`, row = receiver, column = sender, diagonal True; a preset's name or any matrix of 0 and 1.

    | preset | perception agent k of P hears | action agent k hears |
    |---|---|---|
    | `paired` | perception agents k − 1 and k + 1, around a ring | perception agents k and k + 1 (both mod P) |
    | `bipartite_pairs` | nobody | perception agent k (mod P) |
    | `full` | everybody | everybody |
    | `none` | nobody | nobody |
    """
    n, p = n_perception + n_action, n_perception
    if not isinstance(graph, str):
        return _matrix(graph, n) | torch.eye(n, dtype=torch.bool)
    require_choice("graph", graph, PRESETS)
    hears = torch.eye(n, dtype=torch.bool)
    if graph == "full":
        return torch.ones_like(hears)
    if graph == "none" or p == 0:
        return hears
    perception, action = torch.arange(p), torch.arange(n_action)
    hears[p + action, action % p] = True
    if graph == "paired":
        hears[perception, (perception + 1) % p] = True
        hears[perception, (perception - 1) % p] = True
        hears[p + action, (action + 1) % p] = True
    return hears


def _matrix(graph: Tensor | Sequence[Sequence[bool]], n: int) -> Tensor:
    try:
        found = torch.as_tensor(graph).cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"graph must be one of {', '.join(PRESETS)} or a matrix of {n}×{n} booleans"
        ) from error
    shape = tuple(found.shape)
    require(
        shape == (n, n),
        f"graph has shape {shape}, need ({n}, {n}): row = receiver, column = sender",
    )
    require(
        bool(((found == 0) | (found == 1)).all()), "graph must have only True and False, or 1 and 0"
    )
    return found.bool()


def senders(graph: Tensor) -> Tensor:
    """Index of every agent's senders `[N, M]`, in order, M = the most that anybody has; N where there is none."""
    n = graph.shape[-1]
    others = graph & ~torch.eye(n, dtype=torch.bool, device=graph.device)
    index = torch.arange(n, device=graph.device).expand(n, n).masked_fill(~others, n)
    return index.sort(-1).values[:, : int(others.sum(-1).max())]
