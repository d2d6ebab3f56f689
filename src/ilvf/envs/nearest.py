"""Which agents are near each agent: by the graphs of the environment, else by their numbers."""

import torch
from torch import Tensor

GRAPHS = ("observation_graph", "transition_graph", "reward_graph")


def nearest_agents(env: object, n_agents: int, k: int) -> Tensor:
    """Every agent's own number and those of its k nearest, `[N, min(k + 1, N)]`.

    Two agents are linked if one enters the observation, the next state or the reward of the other.
    The distance is the number of links between them. Among equals, and where the environment knows
    no graph, that agent is nearer whose number is, counted around the team as around a ring; of two
    such agents the one with the larger number, counted so, comes first.

    Args:
        env: may have `observation_graph`, `transition_graph` and `reward_graph`, bool `[N, N]`.
        n_agents: N.
        k: agents beside the own one.
    """
    number = torch.arange(n_agents)
    ahead = (number - number.unsqueeze(-1)) % n_agents
    around = torch.minimum(ahead, n_agents - ahead)
    order = around * n_agents + ahead
    far = links_between(linked(env, n_agents), k)
    return (far * n_agents**2 + order).argsort(-1)[:, : k + 1]


def linked(env: object, n_agents: int) -> Tensor:
    """bool `[N, N]`, symmetric: agents with a link."""
    found = torch.zeros(n_agents, n_agents, dtype=torch.bool)
    for name in GRAPHS:
        graph = getattr(env, name, None)
        if graph is not None:
            found |= graph.cpu()
    return found | found.T


def links_between(linked: Tensor, k: int) -> Tensor:
    """Links on the shortest way between two agents, `[N, N]`; N where there is none.

    It stops when every agent has found its k nearest. All agents that are further away are at N.
    """
    n_agents = len(linked)
    reached = torch.eye(n_agents, dtype=torch.bool)
    distance = torch.where(reached, 0, n_agents)
    step = linked.float()
    for links in range(1, n_agents):
        new = ((reached.float() @ step) > 0) & ~reached
        distance[new] = links
        reached |= new
        if not new.any() or (reached.sum(-1) > k).all():
            break
    return distance
