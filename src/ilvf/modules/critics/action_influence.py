"""`ActionInfluenceCritic`: attention over actions, for ILVF-P (no inferring) (App. B.3)."""

from typing import Any

from torch import Tensor

from ilvf.modules.actions import Actions, as_actions
from ilvf.modules.agent_nets import (
    AgentLinear,
    AgentMLP,
    agents_last,
    input_normalizer,
    joint_action,
)
from ilvf.modules.attention import GumbelAttention
from ilvf.modules.critics.base import AttentionCritic
from ilvf.modules.critics.state import StateCritic
from ilvf.modules.options import AttentionOptions, MLPOptions, NetworkOptions
from ilvf.modules.parts import Parts
from ilvf.modules.reader import reader_of
from ilvf.options import configure, select
from ilvf.options.arguments import require_sizes


class ActionInfluenceCritic(AttentionCritic):
    """V and Q of every agent, with an attention over ACTIONS instead of states (eq. 19-21).

        h_i       = f_h_i(LN(s))                         w^g_ij = sigmoid((h_ij + g_ij) / τ)
        V_i(s)    = f_V_i(LN(s))
        Q_i(s, a) = f_Q_i(LN(s), Σ_j w^g_ij a_j)         a_j one-hot, padded to the widest agent

    Continuous actions a_j are scaled to their bounds. Of their weighted sum Q_i sees the total
    alone: two actions that cancel are to it as no action.

    Args:
        n_agents, state_dim: N and D of `("agents", "state")`.
        actions: A, the number of choices, `MultiChoices`, or a `Box` of continuous actions.
        q_depth: hidden layers of Q.
        parts: the `Image` and the `EntitySet`s in the states; other numbers are read as they are.
        **options: see `AttentionOptions`; `depth` is that of V, `hidden_norm` is for V and Q.
    """

    def __init__(
        self,
        n_agents: int,
        state_dim: int,
        actions: int | Actions,
        *,
        q_depth: int = 1,
        parts: Parts = None,
        **options: Any,
    ):
        super().__init__(n_agents, state_dim)
        require_sizes("ActionInfluenceCritic", q_depth=q_depth)
        network = configure(AttentionOptions, options, "ActionInfluenceCritic")
        hidden = network.hidden
        share = network.share
        layers = select(network, MLPOptions)
        self.actions = as_actions(actions, "ActionInfluenceCritic", n_agents)
        self.normalize = input_normalizer(network.input_norm)
        self.read, width = reader_of("ActionInfluenceCritic", self.sizes, parts, network)
        self.attention = GumbelAttention(
            n_agents,
            width,
            hidden=hidden,
            activation=network.activation,
            share=share,
            input_norm=network.input_norm,
            tau=network.tau,
            initial=network.initial,
        )
        common = select(network, NetworkOptions)
        self.state_critic = StateCritic(n_agents, state_dim, parts=parts, **common)
        self.of_state = AgentLinear(n_agents, n_agents * width, hidden, share=share)
        self.of_sum = AgentLinear(n_agents, self.actions.width, hidden, share=share, bias=False)
        self.action_value = AgentMLP(
            n_agents, hidden, 1, first=False, **{**layers, "depth": q_depth}
        )

    def forward(self, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """V, influence weights wᵀ and logits h of a state.

        Args:
            state: `[*B, N, D]`.

        Returns:
            V `[*B, N, 1]`; wᵀ `[*B, N, N]`, row = acting agent; h `[*B, N, N]`, row = critic.
        """
        h = self.attention(self.read(state))
        w = self.attention.weight(h)
        pairs = (*state.shape[:-1], self.sizes[0])
        return self.state_critic(state), w.transpose(-1, -2).reshape(pairs), h.reshape(pairs)

    def value_given(self, state: Tensor, weight: Tensor) -> Tensor:
        """V `[*B, N, 1]` of states, which here reads no weights."""
        return self.state_critic(state)

    def predict_with_logits(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`predict`, and the logits h `[*B, N, N]`, row = critic, that it has used."""
        rows = self.read(state)
        joint = joint_action(action, state, self.actions)
        h = self.attention(rows)
        mixed = self.attention.sample(h) @ joint.unflatten(-1, (-1, self.actions.width))
        y = self.of_state(self.normalize(rows.flatten(1)))  # above: Σ_j w^g_ij a_j  [B, N, A]
        y = self.of_sum.add_to(y, mixed.transpose(0, 1))
        action_value = agents_last(self.action_value.after_first(y), state)
        return self.state_critic(state), action_value, h.reshape(*state.shape[:-1], self.sizes[0])
