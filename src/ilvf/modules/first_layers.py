"""How the joint state enters the critics: the first layers of f_h, V and Q, own or shared.

Both parts answer the same three questions with pre-activations `[N, B, H]` (or `[B, H]`, one answer for all critics):
`logits(state)`, `value(state, w)` and `action_value(state, w^g, action)`, with `w` `[B, N, N]`, row = critic, and with
`state` what their `prepare` has made of `[B, N, D]`, once for all three, and `action` what `joint_action` has made of
the actions.
"""

import torch
from torch import Tensor, nn

from ilvf.errors import require
from ilvf.modules.agent_nets import EPS, AgentLinear, normalise, normaliser

CHUNK = 2**24  # numbers in a temporary tensor of weighted states


def weighted_concat(state: Tensor, weight: Tensor) -> Tensor:
    """LayerNorm's scaling of  x_i = concat_j w_ij s_j,  without its centring:  x_i / std(x_i).

    state `[B, N, D]`, weight `[B, N, N]` → `[B, N, D·N]`, feature by feature (long runs over j are faster than short
    ones over the features). Mean and variance of x_i follow from the sums of s_j and s_j², so that they cost O(N²) per
    state instead of O(N²·D), and the scale multiplies w instead of x. The centring is left to the layer that follows:
    centring its weight's columns is the same (`centred`).
    """
    by_feature = state.transpose(-1, -2).contiguous()  # [B, D, N]
    width = by_feature.shape[-2] * by_feature.shape[-1]
    first = (weight @ by_feature.sum(-2).unsqueeze(-1)) / width  # [B, N, 1]
    second = (weight.square() @ by_feature.square().sum(-2).unsqueeze(-1)) / width
    scale = (second - first.square()).clamp_min(0).add(EPS).rsqrt()
    return ((weight * scale).unsqueeze(-2) * by_feature.unsqueeze(-3)).flatten(-2)


def plain_concat(state: Tensor, weight: Tensor) -> Tensor:
    """concat_j w_ij s_j as it is, in the order of `weighted_concat`: `[B, N, D·N]`."""
    return (weight.unsqueeze(-2) * state.transpose(-1, -2).unsqueeze(-3)).flatten(-2)


def centred(weight: Tensor) -> Tensor:
    """W with zero column means, `[N, F, H]`: (x − mean(x)) W = x · centred(W)."""
    return weight - weight.mean(1, keepdim=True)


class OwnFirst(nn.Module):
    """Every critic has first layers of its own (the paper's critics).

        f_h: C_i LN(s)        V: A_i LN(concat_j w_ij s_j)        Q: B_i LN(Σ_j w^g_ij s_j) + E_i a

    With `input_norm="none"` there is no LN.

    O(N²·D·H) multiplications per state. `a` is the joint action (see `joint_action`), not
    normalised.
    """

    def __init__(
        self,
        n_agents: int,
        state_dim: int,
        n_actions: int,
        hidden: int,
        *,
        share: bool = False,
        input_norm: str = "layer",
    ):
        super().__init__()
        self.normalise = normaliser(input_norm)
        joint = n_agents * state_dim
        self.of_logits = AgentLinear(n_agents, joint, hidden, share=share)
        self.of_value = AgentLinear(n_agents, joint, hidden, share=share)
        self.of_sum = AgentLinear(n_agents, state_dim, hidden, share=share, bias=False)
        self.of_action = AgentLinear(n_agents, n_agents * n_actions, hidden, share=share)

    def prepare(self, state: Tensor) -> Tensor:
        return state

    def logits(self, state: Tensor) -> Tensor:
        return self.of_logits(self.normalise(state.flatten(1)))

    def value(self, state: Tensor, weight: Tensor) -> Tensor:
        plain = self.normalise is not normalise
        join, matrix = (
            (plain_concat, self.of_value.weight)
            if plain
            else (weighted_concat, centred(self.of_value.weight))
        )
        rows = max(
            1, CHUNK // (state.shape[-2] ** 2 * state.shape[-1])
        )  # large teams: piece by piece
        pieces = zip(state.split(rows), weight.split(rows), strict=True)
        y = [self.of_value.apply_to(join(s, w).transpose(0, 1), matrix) for s, w in pieces]
        return y[0] if len(y) == 1 else torch.cat(y, 1)

    def action_value(self, state: Tensor, weight: Tensor, action: Tensor) -> Tensor:
        mixed = self.normalise(weight @ state).transpose(0, 1)
        acted = self.of_action(action)
        return self.of_sum.add_to(acted, mixed)


class SharedFirst(nn.Module):
    """All critics share, per source agent j, the first layers: for large teams.

        f_h: Σ_j C_j s'_j        V: Σ_j w_ij A_j s'_j        Q: Σ_j w^g_ij B_j s'_j + Σ_j E_j a_j

    with s'_j = LN(s_j), and A_j, C_j, E_j affine: a bias belongs to its source agent and is weighted with it. Linear,
    so A_j s'_j is computed once for all critics: O(N·D·H + N²·H) per state. Equal to the unfactorised product of the
    weighted concatenation with the stacked A_j. It differs from `OwnFirst`: all critics have the same A_j, LayerNorm
    comes before the weighting, and Q sums what B_j makes of the states, not the states themselves.
    """

    def __init__(
        self,
        n_agents: int,
        state_dim: int,
        n_actions: int,
        hidden: int,
        *,
        share: bool = False,
        input_norm: str = "layer",
    ):
        super().__init__()
        self.normalise = normaliser(input_norm)
        self.of_logits = AgentLinear(n_agents, state_dim, hidden, share=share)
        self.of_value = AgentLinear(n_agents, state_dim, hidden, share=share)
        self.of_sum = AgentLinear(n_agents, state_dim, hidden, share=share, bias=False)
        self.of_action = AgentLinear(n_agents, n_actions, hidden, share=share)

    def prepare(self, state: Tensor) -> Tensor:
        return self.normalise(state)

    def logits(self, state: Tensor) -> Tensor:
        return self.of_logits.total(state.flatten(1))  # [B, H]

    def value(self, state: Tensor, weight: Tensor) -> Tensor:
        return agents_first(weight @ agents_second(self.of_value(agents_first(state))))

    def action_value(self, state: Tensor, weight: Tensor, action: Tensor) -> Tensor:
        acted = self.of_action.total(action)
        moved = weight @ agents_second(self.of_sum(agents_first(state)))
        return agents_first(moved + acted.unsqueeze(1))


def agents_first(x: Tensor) -> Tensor:
    """`[B, N, ·]` → `[N, B, ·]`, copied: what follows is faster on contiguous memory."""
    return x.transpose(0, 1).contiguous()


agents_second = agents_first  # and back


def joint_action(action: Tensor, state: Tensor, n_actions: int) -> Tensor:
    """What Q reads of the actions, `[B, N·A]` float, for states `[*B, N, D]`.

    Indices `[*B, N]` become one-hot; what has A numbers per agent, `[*B, N, A]` (continuous or one-hot), stays.
    """
    agents, found = tuple(state.shape[:-1]), tuple(action.shape)
    if found == (*agents, n_actions):
        return action.flatten(0, -3).flatten(1).to(state.dtype)
    fits = found == agents and not action.is_floating_point()
    require(
        fits,
        f"the action has shape {found} and dtype {action.dtype}; the critic needs indices {agents}, or "
        f"{(*agents, n_actions)} where an agent's action has {n_actions} numbers",
    )
    return nn.functional.one_hot(action.flatten(0, -2), n_actions).flatten(1).to(state.dtype)
