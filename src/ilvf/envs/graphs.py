"""Who couples to whom: what an environment's three graphs imply for its value functions."""

import torch
from torch import Tensor


def reachable(step: Tensor) -> Tensor:
    """Reflexive transitive closure of a boolean relation `[N, N]` (row depends on column)."""
    n = step.shape[-1]
    closure = step | torch.eye(n, dtype=torch.bool, device=step.device)
    for _ in range(max(n - 1, 1).bit_length()):  # squaring doubles the path length
        closure = (closure.float() @ closure.float()) > 0
    return closure


def value_graph(
    observation_graph: Tensor, transition_graph: Tensor, reward_graph: Tensor
) -> Tensor:
    """Whose states V_i depends on, as the graphs allow it: bool `[N, N]`, row = value function, column = state.

    s_j reaches the next state of i by the dynamics (transition graph), or because an agent k that moves i observes j:

        step = T ∨ T·O          V = R · step*          (boolean products, * = any number of steps)

    On MPE Encircle this gives {i, i±1} for odd and {i, i±1, i±2} for even agents (environments, section 1).
    """
    transition, observation = transition_graph.float(), observation_graph.float()
    step = (transition + transition @ observation) > 0
    return (reward_graph.float() @ reachable(step).float()) > 0


def influence_graph(
    observation_graph: Tensor, transition_graph: Tensor, reward_graph: Tensor
) -> Tensor:
    """Whose returns an agent's action can move, as the graphs allow it: bool `[N, N]`, row = acting agent.

    An action enters the next states of the agents that the transition graph names, and from there the returns:

        A = (V · T)ᵀ,   V = value_graph(...)

    The A-Q influence of eq. 4 is a subset of it in every state and for every policy.
    """
    values = value_graph(observation_graph, transition_graph, reward_graph).float()
    return ((values @ transition_graph.float()) > 0).T
