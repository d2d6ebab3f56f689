"""`NeighbourFirst`: first layers of the critics with attention that see their neighbours alone."""

from typing import Any

from torch import Tensor, nn

from ilvf.modules.agent_nets import AgentLinear, input_normalizer
from ilvf.modules.neighbours import gathered, require_neighbours
from ilvf.modules.options import NetworkOptions
from ilvf.options.arguments import require_kind, require_sizes


class NeighbourFirst(nn.Module):
    """First layers of f_h, V and Q that read the states and actions of K agents, not of all N.

        f_h: C_i LN(concat_k s_k)    V: A_i LN(concat_k w_ik s_k)
        Q:   B_i LN(Σ_k w^g_ik s_k) + E_i concat_k a_k

    k runs over the neighbours of agent i, of which the first is the agent itself. A state costs
    O(N·K·D·H) multiplications. With `input_norm="none"` there is no LN.

    The methods are those of `OwnFirst`, for weights `[B, N, K]` (row = critic). They read
    `prepare(state)` `[B, N, K, D]`.

    Args:
        neighbours: their numbers, int64 `[N, K]`.
    """

    neighbours: Tensor

    def __init__(
        self,
        n_agents: int,
        state_dim: int,
        n_actions: int,
        network: NetworkOptions,
        neighbours: Tensor,
    ):
        super().__init__()
        sizes = {"n_agents": n_agents, "state_dim": state_dim, "n_actions": n_actions}
        require_sizes("NeighbourFirst", **sizes)
        require_kind("NeighbourFirst", "network", network, NetworkOptions, "a NetworkOptions")
        require_kind("NeighbourFirst", "neighbours", neighbours, Tensor, "a tensor [N, K]")
        require_neighbours("NeighbourFirst", neighbours, n_agents)
        self.register_buffer("neighbours", neighbours, persistent=False)  # of the configuration
        self.normalize = input_normalizer(network.input_norm)
        seen = neighbours.shape[1]
        options: dict[str, Any] = {"share": network.share}
        hidden = network.hidden
        self.of_logits = AgentLinear(n_agents, seen * state_dim, hidden, **options)
        self.of_value = AgentLinear(n_agents, seen * state_dim, hidden, **options)
        self.of_sum = AgentLinear(n_agents, state_dim, hidden, bias=False, **options)
        self.of_action = AgentLinear(n_agents, seen * n_actions, hidden, **options)

    def prepare(self, state: Tensor) -> Tensor:
        """The neighbours' states `[B, N, K, D]` of states `[B, N, D]`."""
        return gathered(state, self.neighbours)

    def logits(self, state: Tensor) -> Tensor:
        return self.of_logits(self.normalize(state.flatten(2)).transpose(0, 1))

    def value(self, state: Tensor, weight: Tensor) -> Tensor:
        weighted = (weight.unsqueeze(-1) * state).flatten(2)
        return self.of_value(self.normalize(weighted).transpose(0, 1))

    def action_value(self, state: Tensor, weight: Tensor, action: Tensor) -> Tensor:
        total = (weight.unsqueeze(-1) * state).sum(2)
        by_agent = action.unflatten(-1, (len(self.neighbours), -1))
        acted = gathered(by_agent, self.neighbours).flatten(2)
        y = self.of_action(acted.to(state.dtype).transpose(0, 1))
        return self.of_sum.add_to(y, self.normalize(total).transpose(0, 1))
