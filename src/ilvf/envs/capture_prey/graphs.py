"""The communication graphs of Predator Capture Prey."""

from typing import Any

import torch
from torch import Tensor

from ilvf.errors import UsageError, require, require_choice

PRESETS = ("paired", "bipartite_pairs", "full", "none")


def communication_graph(graph: Any, n_perception: int, n_action: int) -> Tensor:
    """Who receives from whom.

    | preset | perception agent k receives from | action agent k receives from |
    |---|---|---|
    | `paired` | perception agents k − 1 and k + 1 | perception agents k and k + 1 |
    | `bipartite_pairs` | nobody | perception agent k |
    | `full` | everybody | everybody |
    | `none` | nobody | nobody |

    Indices are modulo the number of perception agents.

    Args:
        graph: name of a preset, or an `[N, N]` matrix of booleans or 0 and 1.
        n_perception: P.
        n_action: A; N = P + A.

    Returns:
        bool `[N, N]`, row = receiver, column = sender, diagonal True.

    Raises:
        UsageError: an unknown name, or a matrix of another shape or with other values.
    """
    n = n_perception + n_action
    if not isinstance(graph, str):
        return _matrix(graph, n) | torch.eye(n, dtype=torch.bool)
    require_choice("graph", graph, PRESETS)
    if graph == "full":
        return torch.ones(n, n, dtype=torch.bool)
    receives = torch.eye(n, dtype=torch.bool)
    if graph == "none" or n_perception == 0:
        return receives
    perception = torch.arange(n_perception)
    action = torch.arange(n_action)
    receives[n_perception + action, action % n_perception] = True
    if graph == "paired":
        receives[perception, (perception + 1) % n_perception] = True
        receives[perception, (perception - 1) % n_perception] = True
        receives[n_perception + action, (action + 1) % n_perception] = True
    return receives


def _matrix(graph: Any, n: int) -> Tensor:
    """A given matrix as bool `[N, N]`."""
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
    binary = (found == 0) | (found == 1)
    require(bool(binary.all()), "graph must have only True and False, or 1 and 0")
    return found.bool()


def senders(graph: Tensor) -> Tensor:
    """The agents that each agent receives from, in order of their indices.

    Args:
        graph: bool `[N, N]`, row = receiver.

    Returns:
        Indices `[N, M]`, where M is the largest number of senders; N stands for an absent one.
    """
    n = graph.shape[-1]
    others = graph & ~torch.eye(n, dtype=torch.bool, device=graph.device)
    index = torch.arange(n, device=graph.device).expand(n, n).masked_fill(~others, n)
    most = int(others.sum(-1).max())
    return index.sort(-1).values[:, :most]
