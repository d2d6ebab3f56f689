"""PRD's critic: softmax attention over the other agents' states and actions."""

import math

import torch
from tensordict.nn import TensorDictModule
from torch import Tensor, nn

from ilvf.modules.agent_nets import AgentMLP, normaliser
from ilvf.modules.critics.state import StateCritic, agents_last, require_state
from ilvf.modules.first_layers import joint_action


class RelevanceCritic(nn.Module):
    """PRD's critic (Freed et al., 2021; Kapoor et al., 2024): whose actions matter to my return, by softmax attention.

        α_i· = softmax_{j≠i}(q(s_i) · k(s_j, a_j) / √H)        Q_i(s, a) = f_Q_i(LN(s_i), Σ_{j≠i} α_ij v(s_j, a_j), a_i)
        V_i(s) = f_V_i(LN(s)), apart from it, for the advantages

    α_ij large: agent j's action matters to agent i's return. Written transposed as influence weight (row = acting
    agent), own weight 1. q, k and v are shared by all agents, as in the papers. The papers' V_i has attention of its
    own; here it is `StateCritic`, the critic of MAPPO and IPPO-C, so that only the credit differs.

    Args:
        n_agents, state_dim, n_actions: N, D, A.
        hidden, depth, hidden_norm, share: of V and of Q's head.
        input_norm: `layer` or `none`, see `normaliser`.
    """

    def __init__(
        self,
        n_agents: int,
        state_dim: int,
        n_actions: int,
        *,
        hidden: int = 64,
        depth: int = 2,
        hidden_norm: bool = False,
        input_norm: str = "layer",
        share: bool = False,
    ):
        super().__init__()
        self.normalise = normaliser(input_norm)
        self.sizes, self.n_actions, self.hidden = (n_agents, state_dim), n_actions, hidden
        self.state_critic = StateCritic(
            n_agents,
            state_dim,
            hidden=hidden,
            depth=depth,
            hidden_norm=hidden_norm,
            input_norm=input_norm,
            share=share,
        )
        self.query = AgentMLP(n_agents, state_dim, hidden, hidden=hidden, share=True)
        self.key_value = AgentMLP(
            n_agents, state_dim + n_actions, 2 * hidden, hidden=hidden, share=True
        )
        width = state_dim + hidden + n_actions
        self.action_value = AgentMLP(
            n_agents, width, 1, hidden=hidden, hidden_norm=hidden_norm, share=share
        )

    def attend(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """(α `[B, N, N]`, row = whose return; input of Q `[N, B, ·]`) of flat states."""
        acted = (
            joint_action(action, state, self.n_actions)
            .unflatten(-1, (-1, self.n_actions))
            .transpose(0, 1)
        )
        own = self.normalise(state.flatten(0, -3)).transpose(0, 1)  # [N, B, D]
        key, value = (
            self.key_value(torch.cat([own, acted], -1)).transpose(0, 1).chunk(2, -1)
        )  # [B, N, H]
        logits = self.query(own).transpose(0, 1) @ key.transpose(-1, -2) / math.sqrt(self.hidden)
        eye = torch.eye(self.sizes[0], dtype=torch.bool, device=state.device)
        alpha = logits.masked_fill(eye, -torch.inf).softmax(-1)
        return alpha, torch.cat([own, (alpha @ value).transpose(0, 1), acted], -1)

    def forward(self, state: Tensor) -> Tensor:
        """state `[*B, N, D]` → V `[*B, N, 1]`."""
        return self.state_critic(state)

    def predict(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """V(s) and Q(s, a), `[*B, N, 1]` each."""
        require_state(state, *self.sizes)
        return self.state_critic(state), agents_last(
            self.action_value(self.attend(state, action)[1]), state
        )

    def relevance(self, state: Tensor, action: Tensor) -> Tensor:
        """Influence weight αᵀ `[*B, N, N]`, row = acting agent, own weight 1."""
        alpha = self.attend(state, action)[0].transpose(-1, -2)
        eye = torch.eye(self.sizes[0], device=state.device)
        return (alpha + eye).reshape(*state.shape[:-1], -1)

    def value_module(
        self, group: str = "agents", value_key: str = "state_value", state_key: str = "state"
    ) -> TensorDictModule:
        """`(group, state_key)` → `(group, value_key)`."""
        return TensorDictModule(self, in_keys=[(group, state_key)], out_keys=[(group, value_key)])

    def relevance_module(self, group: str = "agents", state_key: str = "state") -> TensorDictModule:
        """`(group, state_key)`, `(group, "action")` → `(group, "influence_weight")`."""
        keys = [(group, state_key), (group, "action")]
        return TensorDictModule(
            self.relevance, in_keys=keys, out_keys=[(group, "influence_weight")]
        )
