"""The critic of ILVF-P (no inferring): attention over actions (paper, App. B.3)."""

from typing import Any

from tensordict.nn import TensorDictModule
from torch import Tensor, nn

from ilvf.modules.agent_nets import AgentLinear, AgentMLP, normaliser
from ilvf.modules.attention import GumbelAttention
from ilvf.modules.critics.state import StateCritic, agents_last, require_state
from ilvf.modules.first_layers import joint_action


class ActionInfluenceCritic(nn.Module):
    """ILVF-P (no inferring): attention over ACTIONS instead of states (App. B.3, eq. 19-21).

        V_i(s)    = f_V_i(LN(s))
        Q_i(s, a) = f_Q_i(LN(s), Σ_j w^g_ij a_j),     w^g_ij = sigmoid((h_ij + g_ij)/τ),   h_i = f_h_i(LN(s))

    a_j one-hot, padded to the widest agent. Shapes and options are those of `InfluenceCritic`.
    """

    def __init__(
        self,
        n_agents: int,
        state_dim: int,
        n_actions: int,
        *,
        hidden: int = 64,
        depth: int = 2,
        q_depth: int = 1,
        tau: float = 1.0,
        initial: str = "random",
        activation: str = "relu",
        hidden_norm: bool = False,
        input_norm: str = "layer",
        share: bool = False,
    ):
        super().__init__()
        self.sizes, self.n_actions = (n_agents, state_dim), n_actions
        trunk: dict[str, Any] = dict(hidden=hidden, activation=activation, share=share)
        self.normalise = normaliser(input_norm)
        self.attention = GumbelAttention(
            n_agents, state_dim, tau=tau, initial=initial, input_norm=input_norm, **trunk
        )
        self.state_critic = StateCritic(
            n_agents,
            state_dim,
            depth=depth,
            hidden_norm=hidden_norm,
            input_norm=input_norm,
            **trunk,
        )
        self.of_state = AgentLinear(n_agents, n_agents * state_dim, hidden, share=share)
        self.of_sum = AgentLinear(n_agents, n_actions, hidden, share=share, bias=False)
        self.action_value = AgentMLP(
            n_agents, hidden, 1, depth=q_depth, hidden_norm=hidden_norm, first=False, **trunk
        )

    def forward(self, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """state `[*B, N, D]` → V `[*B, N, 1]`, influence weight wᵀ `[*B, N, N]` (row = acting agent), logits h."""
        require_state(state, *self.sizes)
        h = self.attention(state.flatten(0, -3))
        pairs = state.shape[:-1] + h.shape[-1:]
        weight = self.attention.weight(h).transpose(-1, -2)
        return self.state_critic(state), weight.reshape(pairs), h.reshape(pairs)

    def predict(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """V(s) and Q(s, a), `[*B, N, 1]` each; fresh noise at each call."""
        require_state(state, *self.sizes)
        flat, acted = state.flatten(0, -3), joint_action(action, state, self.n_actions)
        weight = self.attention.sample(self.attention(flat))
        mixed = weight @ acted.unflatten(-1, (-1, self.n_actions))  # [B, N, A]
        first = self.of_sum.add_to(
            self.of_state(self.normalise(flat.flatten(1))), mixed.transpose(0, 1)
        )
        return self.state_critic(state), agents_last(self.action_value.after_first(first), state)

    def value_module(
        self, group: str = "agents", value_key: str = "state_value", state_key: str = "state"
    ) -> TensorDictModule:
        """`(group, state_key)` → `(group, value_key)`, `(group, "influence_weight")`, `(group, "attention_logits")`."""
        out = [(group, value_key), (group, "influence_weight"), (group, "attention_logits")]
        return TensorDictModule(self, in_keys=[(group, state_key)], out_keys=out)
