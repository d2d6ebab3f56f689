"""First layers of an `InfluenceCritic`, which apply the weights: own ones or shared ones.

Axes: `B` rows (environments × steps), `N` agents, `D` state width, `A` actions, `H` hidden units.
"""

import torch
from torch import Tensor, nn

from ilvf.modules.agent_nets import EPS, LEAST_NORMALIZED, AgentLinear, input_normalizer
from ilvf.modules.critics.neighbour_first import NeighbourFirst
from ilvf.modules.options import NetworkOptions
from ilvf.options.arguments import require_kind, require_sizes

CHUNK = 2**24  # numbers in a temporary tensor of weighted states


def first_layers(
    sizes: tuple[int, int, int],
    network: NetworkOptions,
    shared_first: bool,
    neighbours: Tensor | None,
) -> "OwnFirst | SharedFirst | NeighbourFirst":
    """The first layers that the options ask for.

    Args:
        sizes: N, D, A.
    """
    if neighbours is not None:
        return NeighbourFirst(*sizes, network, neighbours)
    return SharedFirst(*sizes, network) if shared_first else OwnFirst(*sizes, network)


class OwnFirst(nn.Module):
    """First layers of f_h, V and Q, with own matrices for every critic, as in the paper.

        f_h: C_i LN(s)        V: A_i LN(concat_j w_ij s_j)        Q: B_i LN(Σ_j w^g_ij s_j) + E_i a

    O(N²·D·H) multiplications per state. The joint action a is not normalized. With
    `input_norm="none"` there is no LN.

    The methods return pre-activations: `[N, B, H]`, or `[B, H]` when all critics have the same.
    They read `prepare(state)` of the state `[B, N, D]`, weights `[B, N, N]` (row = critic), and
    the joint action `[B, N·A]`.
    """

    def __init__(self, n_agents: int, state_dim: int, n_actions: int, network: NetworkOptions):
        super().__init__()
        sizes = {"n_agents": n_agents, "state_dim": state_dim, "n_actions": n_actions}
        require_sizes("OwnFirst", **sizes)
        require_kind("OwnFirst", "network", network, NetworkOptions, "a NetworkOptions")
        hidden = network.hidden
        share = network.share
        self.input_norm = network.input_norm
        self.normalize = input_normalizer(network.input_norm)
        joint = n_agents * state_dim
        self.of_logits = AgentLinear(n_agents, joint, hidden, share=share)
        self.of_value = AgentLinear(n_agents, joint, hidden, share=share)
        self.of_sum = AgentLinear(n_agents, state_dim, hidden, share=share, bias=False)
        self.of_action = AgentLinear(n_agents, n_agents * n_actions, hidden, share=share)

    def prepare(self, state: Tensor) -> Tensor:
        """The state that the other methods read: unchanged."""
        return state

    def logits(self, state: Tensor) -> Tensor:
        return self.of_logits(self.normalize(state.flatten(1)))

    def value(self, state: Tensor, weight: Tensor) -> Tensor:
        n_agents, state_dim = state.shape[-2:]
        rows = max(1, CHUNK // (n_agents**2 * state_dim))  # bounds the memory of large teams
        pieces = [
            self._value(s, w) for s, w in zip(state.split(rows), weight.split(rows), strict=True)
        ]
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, 1)

    def _value(self, state: Tensor, weight: Tensor) -> Tensor:
        enough = state.shape[-2] * state.shape[-1] >= LEAST_NORMALIZED
        normalized = self.input_norm == "layer" and enough
        concat = normalized_concat if normalized else weighted_concat
        return self.of_value(concat(state, weight).transpose(0, 1))

    def action_value(self, state: Tensor, weight: Tensor, action: Tensor) -> Tensor:
        mixed = self.normalize(weight @ state).transpose(0, 1)
        return self.of_sum.add_to(self.of_action(action), mixed)


class SharedFirst(nn.Module):
    """First layers of f_h, V and Q, shared by all critics: cheaper for large teams.

        f_h: Σ_j C_j s'_j       V: Σ_j w_ij A_j s'_j       Q: Σ_j w^g_ij B_j s'_j + Σ_j E_j a_j

    with s'_j = LN(s_j). A_j, C_j and E_j have a bias, which belongs to its source agent j and is
    weighted with it. A_j s'_j is computed once for all critics, so that the cost per state is
    O(N·D·H + N²·H). It equals the product of the weighted concatenation with the stacked A_j. It
    differs from `OwnFirst`: all critics have the same A_j, LayerNorm comes before the weighting,
    and Q sums the B_j s'_j instead of the states.

    The methods are those of `OwnFirst`.
    """

    def __init__(self, n_agents: int, state_dim: int, n_actions: int, network: NetworkOptions):
        super().__init__()
        sizes = {"n_agents": n_agents, "state_dim": state_dim, "n_actions": n_actions}
        require_sizes("SharedFirst", **sizes)
        require_kind("SharedFirst", "network", network, NetworkOptions, "a NetworkOptions")
        hidden = network.hidden
        share = network.share
        self.normalize = input_normalizer(network.input_norm)
        self.of_logits = AgentLinear(n_agents, state_dim, hidden, share=share)
        self.of_value = AgentLinear(n_agents, state_dim, hidden, share=share)
        self.of_sum = AgentLinear(n_agents, state_dim, hidden, share=share, bias=False)
        self.of_action = AgentLinear(n_agents, n_actions, hidden, share=share)

    def prepare(self, state: Tensor) -> Tensor:
        """The state that the other methods read: s'."""
        return self.normalize(state)

    def logits(self, state: Tensor) -> Tensor:
        return self.of_logits.total(state.flatten(1))

    def value(self, state: Tensor, weight: Tensor) -> Tensor:
        by_source = swap_first_axes(self.of_value(swap_first_axes(state)))  # A_j s'_j  [B, N, H]
        return swap_first_axes(weight @ by_source)

    def action_value(self, state: Tensor, weight: Tensor, action: Tensor) -> Tensor:
        by_source = swap_first_axes(self.of_sum(swap_first_axes(state)))  # B_j s'_j  [B, N, H]
        acted = self.of_action.total(action)
        return swap_first_axes(weight @ by_source + acted.unsqueeze(1))


def normalized_concat(state: Tensor, weight: Tensor) -> Tensor:
    """LayerNorm of x_i = concat_j w_ij s_j, in float32 at least.

    With μ_j and v_j, mean and variance of s_j over its features,

        x_ijd − mean(x_i) = w_ij (s_jd − μ_j) + δ_ij,    δ_ij = w_ij μ_j − mean_j(w_ij μ_j)
        var(x_i)          = mean_j(w_ij² v_j + δ_ij²)

    so that the moments cost O(N²) per state instead of O(N²·D). Every difference is taken before
    it is squared or rounded: E[x²] − E[x]² cancels where the mean is much larger than the
    standard deviation.

    Args:
        state: `[B, N, D]`.
        weight: `[B, N, N]`, row = critic.

    Returns:
        `[B, N, D·N]`, feature by feature: consecutive numbers over j are faster to compute.
    """
    dtype = torch.promote_types(state.dtype, torch.float32)
    by_feature = state.to(dtype).transpose(-1, -2)  # [B, D, N]
    weight = weight.to(dtype)
    mean = by_feature.mean(-2, keepdim=True)  # μ_j [B, 1, N]
    by_feature = (by_feature - mean).contiguous()
    variance = by_feature.square().mean(-2, keepdim=True)  # v_j [B, 1, N]
    part = weight * mean
    offset = part - part.mean(-1, keepdim=True)  # δ_ij [B, N, N]
    total = (weight.square() * variance + offset.square()).mean(-1, keepdim=True)
    scale = total.add(EPS).rsqrt()
    offset = (offset * scale).unsqueeze(-2)
    weight = (weight * scale).unsqueeze(-2)
    return torch.addcmul(offset, weight, by_feature.unsqueeze(-3)).flatten(-2)


def weighted_concat(state: Tensor, weight: Tensor) -> Tensor:
    """x_i = concat_j w_ij s_j, in the order of `normalized_concat`: `[B, N, D·N]`."""
    return (weight.unsqueeze(-2) * state.transpose(-1, -2).unsqueeze(-3)).flatten(-2)


def swap_first_axes(x: Tensor) -> Tensor:
    """`[N, B, ·]` ↔ `[B, N, ·]`, copied, as later operations are faster on contiguous memory."""
    return x.transpose(0, 1).contiguous()
