"""Dependencies between agents' values that follow from an environment's three graphs."""

import torch
from torch import Tensor


def reachable(step: Tensor) -> Tensor:
    """Reflexive transitive closure of a relation, bool `[N, N]`, row depends on column."""
    n = step.shape[-1]
    closure = step | torch.eye(n, dtype=torch.bool, device=step.device)
    doublings = max(n - 1, 1).bit_length()  # each squaring doubles the length of the paths
    for _ in range(doublings):
        closure = (closure.float() @ closure.float()) > 0
    return closure


def value_graph(
    observation_graph: Tensor, transition_graph: Tensor, reward_graph: Tensor
) -> Tensor:
    """The states that V_i can depend on, for any policy with these graphs.

    s_j enters the next state of i through the dynamics (transition graph T), or through an agent k
    that enters it and observes j (observation graph O):

        step = T ∨ T·O          V = R · step*

    with boolean products, the reward graph R, and * for any number of steps. On MPE Encircle this
    gives {i, i±1} for odd and {i, i±1, i±2} for even agents.

    Args:
        observation_graph, transition_graph, reward_graph: bool `[N, N]`, row depends on column.

    Returns:
        bool `[N, N]`, row = value function, column = state.
    """
    transition = transition_graph.float()
    step = (transition + transition @ observation_graph.float()) > 0
    return (reward_graph.float() @ reachable(step).float()) > 0


def influence_graph(
    observation_graph: Tensor, transition_graph: Tensor, reward_graph: Tensor
) -> Tensor:
    """The returns that an agent's action can change, for any policy with these graphs.

    An action enters the next states that the transition graph T names, and through them the values:

        A = (V · T)ᵀ,   V = value_graph(...)

    The A-Q influence of eq. 4 is a subset of it in every state and for every policy.

    Args:
        observation_graph, transition_graph, reward_graph: bool `[N, N]`, row depends on column.

    Returns:
        bool `[N, N]`, row = acting agent, column = agent whose return changes.
    """
    values = value_graph(observation_graph, transition_graph, reward_graph).float()
    return ((values @ transition_graph.float()) > 0).T
