"""`AttendedFirst`: first layer of critics that choose the few agents that they see."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ilvf.errors import require
from ilvf.modules.agent_nets import ACTIVATIONS, AgentLinear, input_normalizer
from ilvf.modules.options import NetworkOptions
from ilvf.options.arguments import require_kind, require_sizes

WIDTH = 16  # W: numbers of a query, a key and a value
CHUNK = 2**22  # scores of all pairs that exist at a time


class AttendedFirst(nn.Module):
    """The first layer reads the own state and an attention over the K agents that score highest.

        q_i, k_j, v_j = LN(s) Q_i, LN(s) K_j, relu(LN(s) V_j)
        T_i = the K agents j ≠ i with the largest e_ij = q_i · k_j / √W
        α_ij = exp e_ij / (1 + Σ_{l ∈ T_i} exp e_il)
        y_i = A_i LN(s_i) + B_i Σ_{j ∈ T_i} α_ij v_j

    T_i depends on the state. Choosing it needs O(N²·W) multiplications for a state, in chunks and
    without gradients; all else is gathered, `[B, N, K, W]`. The 1 in α stands for no agent, so that
    all weights can be small. The gradient of α teaches q and k, which are
    functions of the states and so tell about agents that are not chosen, too. With `share` the
    matrices are those of all agents, whose biases are learned embeddings of their numbers. `relu`
    is the activation of `network`; with `input_norm="none"` there is no LN.

    Args:
        n_agents, state_dim: N and D of the rows that it reads.
        attended: K, at most N - 1 are used.
        network: `hidden`, `activation`, `share` and `input_norm` are used.
    """

    def __init__(self, n_agents: int, state_dim: int, attended: int, network: NetworkOptions):
        super().__init__()
        sizes = {"n_agents": n_agents, "state_dim": state_dim, "attended": attended}
        require_sizes("AttendedFirst", **sizes)
        require_kind("AttendedFirst", "network", network, NetworkOptions, "a NetworkOptions")
        require(n_agents > 1, "AttendedFirst: a single agent has no others; leave out attended=")
        self.attended = min(attended, n_agents - 1)
        self.normalize = input_normalizer(network.input_norm)
        self.activation = ACTIVATIONS[network.activation]
        options: dict[str, Any] = {"share": network.share}
        self.of_own = AgentLinear(n_agents, state_dim, network.hidden, **options)
        self.parts = AgentLinear(n_agents, state_dim, 3 * WIDTH, **options)
        self.of_others = AgentLinear(n_agents, WIDTH, network.hidden, bias=False, **options)

    def forward(self, rows: Tensor) -> Tensor:
        """Pre-activations `[N, B, H]` of rows `[B, N, D]`."""
        states = self.normalize(rows).transpose(0, 1)
        seen = self.attend(self.parts(states).transpose(0, 1))
        return self.of_others.add_to(self.of_own(states), seen.transpose(0, 1))

    def attend(self, parts: Tensor) -> Tensor:
        """Σ_j α_ij v_j `[B, N, W]` of queries, keys and values `[B, N, 3·W]`."""
        query, key, value = parts.split(WIDTH, -1)
        query = query / math.sqrt(WIDTH)
        chosen = most_similar(query.detach(), key.detach(), self.attended)
        scores = taken(key, chosen) @ query.unsqueeze(-1)  # [B, N, K, 1]
        alpha = F.pad(scores, (0, 0, 0, 1)).softmax(-2)[..., :-1, :]
        return (alpha * taken(self.activation(value.clone()), chosen)).sum(-2)


def most_similar(query: Tensor, key: Tensor, k: int) -> Tensor:
    """The k agents j ≠ i with the largest q_i · k_j, `[B, N, k]`, without all scores at once.

    Args:
        query, key: `[B, N, W]`.
    """
    n_agents = query.shape[1]
    rows = max(CHUNK // n_agents**2, 1)
    found = [
        chosen_of(part, keys, k)
        for part, keys in zip(query.split(rows), key.split(rows), strict=True)
    ]
    return torch.cat(found)


def chosen_of(query: Tensor, key: Tensor, k: int) -> Tensor:
    """`most_similar` at once."""
    scores = query @ key.transpose(-1, -2)
    scores.diagonal(dim1=-2, dim2=-1).fill_(-torch.inf)
    return scores.topk(k, sorted=False).indices


def taken(x: Tensor, index: Tensor) -> Tensor:
    """Rows `[B, N, K, F]` of x `[B, N, F]` by the agents' numbers `[B, N, K]` in each state."""
    n_states, n_agents, _ = x.shape
    start = n_agents * torch.arange(n_states, device=x.device)
    found = x.flatten(0, 1).index_select(0, (index + start.view(-1, 1, 1)).flatten())
    return found.unflatten(0, tuple(index.shape))
