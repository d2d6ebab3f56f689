"""`InfluenceCritic`: V and Q of every agent through a Gumbel attention (Sec. 4.3.1, eq. 7-8).

The critic comes first, then the two variants of its first layers, which apply the weights.

Axes: `B` rows (environments × steps), `N` agents, `D` state width, `A` actions, `H` hidden units.
"""

from typing import Any

import torch
from torch import Tensor, nn

from ilvf.errors import require
from ilvf.modules.actions import Actions, as_actions
from ilvf.modules.agent_nets import (
    EPS,
    LEAST_NORMALIZED,
    AgentLinear,
    AgentMLP,
    agents_last,
    input_normalizer,
    joint_action,
)
from ilvf.modules.attention import GumbelAttention
from ilvf.modules.critics.base import AttentionCritic
from ilvf.modules.critics.neighbour_first import NeighbourFirst
from ilvf.modules.neighbours import require_neighbours
from ilvf.modules.options import AttentionOptions, MLPOptions, NetworkOptions
from ilvf.modules.parts import Parts
from ilvf.modules.reader import reader_of
from ilvf.options import configure, select
from ilvf.options.arguments import require_flags, require_kind, require_sizes

CHUNK = 2**24  # numbers in a temporary tensor of weighted states


class InfluenceCritic(AttentionCritic):
    """V and Q of every agent, with an attention that learns whose state matters to whose value.

        h_i       = f_h_i(s)
        V_i(s)    = f_V_i(concat_j w_ij s_j)          w_ij   = sigmoid(h_ij / τ)
        Q_i(s, a) = f_Q_i(Σ_j w^g_ij s_j, a)          w^g_ij = sigmoid((h_ij + g_ij) / τ)

    V reads all states, concatenated and without noise, to be accurate. Q reads their weighted sum,
    with Gumbel noise g: its loss is the auxiliary loss that trains the attention to select the
    states that matter.

    Args:
        n_agents, state_dim: N and D of `("agents", "state")`.
        actions: A, the number of choices, `MultiChoices`, or a `Box` of continuous actions.
        q_depth: hidden layers of Q.
        shared_first: use `SharedFirst` instead of `OwnFirst`, for large teams.
        parts: the `Image` and the `EntitySet`s in the states, of which s_j are then features.
        neighbours: numbers of the K agents to which each critic attends, the own one first, int64
            `[N, K]`: use `NeighbourFirst`. Weights and logits are then `[*B, N, K]` with a row for
            each critic, see `LearnedInfluence(neighbours=)`. None for all agents.
        **options: see `AttentionOptions`; `depth` is that of V, `hidden_norm` is for V and Q.
    """

    def __init__(
        self,
        n_agents: int,
        state_dim: int,
        actions: int | Actions,
        *,
        q_depth: int = 1,
        shared_first: bool = False,
        parts: Parts = None,
        neighbours: Tensor | None = None,
        **options: Any,
    ):
        super().__init__(n_agents, state_dim)
        require_sizes("InfluenceCritic", q_depth=q_depth)
        require_flags("InfluenceCritic", shared_first=shared_first)
        require_neighbours("InfluenceCritic", neighbours, n_agents)
        require(
            neighbours is None or not shared_first,
            "InfluenceCritic: shared_first is for critics of all agents; leave out one of them",
        )
        network = configure(AttentionOptions, options, "InfluenceCritic")
        hidden = network.hidden
        layers = select(network, MLPOptions)
        self.actions = as_actions(actions, "InfluenceCritic", n_agents)
        self.read, width = reader_of("InfluenceCritic", self.sizes, parts, network)
        sizes = (n_agents, width, self.actions.width)
        self.first = first_layers(sizes, network, shared_first, neighbours)
        candidates = None if neighbours is None else neighbours.shape[1]
        self.attention = GumbelAttention(
            n_agents,
            width,
            own_first=False,
            candidates=candidates,
            hidden=hidden,
            activation=network.activation,
            share=network.share,
            tau=network.tau,
            initial=network.initial,
        )
        self.value = AgentMLP(n_agents, hidden, 1, first=False, **layers)
        self.action_value = AgentMLP(
            n_agents, hidden, 1, first=False, **{**layers, "depth": q_depth}
        )

    @property
    def neighbours(self) -> Tensor | None:
        """The agents to which each critic attends `[N, K]`; None for all."""
        return self.first.neighbours if isinstance(self.first, NeighbourFirst) else None

    @property
    def sees_all(self) -> bool:
        """Does each critic read the states of all agents?"""
        return self.neighbours is None

    def logits(self, prepared: Tensor) -> Tensor:
        """h `[B, N, N]`, row = critic, of the prepared state `[B, N, D]`."""
        return self.attention.logits.after_first(self.first.logits(prepared)).transpose(0, 1)

    def forward(self, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """V, influence weights wᵀ and logits h of a state.

        Args:
            state: `[*B, N, D]`.

        Returns:
            V `[*B, N, 1]`; wᵀ `[*B, N, N]`, row = acting agent; h `[*B, N, N]`, row = critic.
        """
        prepared = self.first.prepare(self.read(state))
        h = self.logits(prepared)
        w = self.attention.weight(h)
        value = self.value.after_first(self.first.value(prepared, w))
        pairs = (*state.shape[:-1], h.shape[-1])
        if self.neighbours is None:
            w = w.transpose(-1, -2)
        w = w.contiguous()  # minibatches are drawn from it
        return agents_last(value, state), w.reshape(pairs), h.reshape(pairs)

    def value_given(self, state: Tensor, weight: Tensor) -> Tensor:
        """V `[*B, N, 1]` of states with given weights, such as `forward` has returned.

        Args:
            state: `[*B, N, D]`.
            weight: wᵀ `[*B, N, N]`, row = acting agent; with neighbours w `[*B, N, K]`.
        """
        w = weight.reshape(-1, *weight.shape[-2:])
        if self.neighbours is None:
            w = w.transpose(-1, -2)
        prepared = self.first.prepare(self.read(state))
        value = self.value.after_first(self.first.value(prepared, w))
        return agents_last(value, state)

    def predict_with_logits(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`predict`, and the logits h `[*B, N, N]`, row = critic, that it has used."""
        prepared = self.first.prepare(self.read(state))
        joint = joint_action(action, state, self.actions)
        h = self.logits(prepared)
        y = self.first.value(prepared, self.attention.weight(h))
        value = self.value.after_first(y)
        y = self.first.action_value(prepared, self.attention.sample(h), joint)
        action_value = self.action_value.after_first(y)
        pairs = h.reshape(*state.shape[:-1], h.shape[-1])
        return agents_last(value, state), agents_last(action_value, state), pairs


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
        return self.of_value.of_columns(concat(state, weight).to(state.dtype))

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
        `[N, D·N, B]`: critic, feature by feature. Rows come last, as long axes are fast.
    """
    dtype = torch.promote_types(state.dtype, torch.float32)
    state, weight = rows_last(state.to(dtype), weight.to(dtype))
    mean = state.mean(0)  # μ_j [N, B]
    state = state - mean
    variance = state.square().mean(0)  # v_j [N, B]
    part = weight * mean
    offset = part - part.mean(1, keepdim=True)  # δ_ij [N, N, B]
    total = (weight.square() * variance + offset.square()).mean(1, keepdim=True)
    scale = total.add(EPS).rsqrt()
    offset = (offset * scale).unsqueeze(1)
    weight = (weight * scale).unsqueeze(1)
    return torch.addcmul(offset, weight, state).flatten(1, 2)


def weighted_concat(state: Tensor, weight: Tensor) -> Tensor:
    """x_i = concat_j w_ij s_j, in the order of `normalized_concat`: `[N, D·N, B]`."""
    state, weight = rows_last(state, weight)
    return (weight.unsqueeze(1) * state).flatten(1, 2)


def rows_last(state: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """State `[B, N, D]` → `[D, N, B]` and weight `[B, N, N]` → `[N, N, B]`, row = critic."""
    return state.permute(2, 1, 0).contiguous(), weight.permute(1, 2, 0).contiguous()


def swap_first_axes(x: Tensor) -> Tensor:
    """`[N, B, ·]` ↔ `[B, N, ·]`, copied, as later operations are faster on contiguous memory."""
    return x.transpose(0, 1).contiguous()
