"""`RelevanceCritic`: the critic of PRD, softmax attention over the others' states and actions."""

import math
from typing import Any

import torch
from tensordict.nn import TensorDictModule
from torch import Tensor, nn

from ilvf.modules.actions import Actions, as_actions
from ilvf.modules.agent_nets import (
    AgentMLP,
    agents_last,
    input_normalizer,
    joint_action,
)
from ilvf.modules.critics.base import Critic
from ilvf.modules.critics.state import StateCritic
from ilvf.modules.options import MLPOptions, NetworkOptions
from ilvf.modules.parts import Parts
from ilvf.modules.reader import reader_of
from ilvf.options import configure, select
from ilvf.options.arguments import require_names


class RelevanceCritic(Critic):
    """PRD's critic: a softmax attention that learns whose actions matter to which return.

        α_i·      = softmax_{j≠i}(q(s_i) · k(s_j, a_j) / √H)
        Q_i(s, a) = f_Q_i(LN(s_i), Σ_{j≠i} α_ij v(s_j, a_j), a_i)
        V_i(s)    = f_V_i(LN(s)),  a separate network, for the advantages

    A large α_ij means that the action of agent j matters to the return of agent i. The influence
    weight is its transpose (row = acting agent), with 1 on the diagonal. q, k and v are shared by
    all agents, as in the papers (Freed et al., 2021; Kapoor et al., 2024). The papers' V_i has an
    attention too. Here V is the `StateCritic` of MAPPO and IPPO-C, so that only the credit differs.

    Args:
        n_agents, state_dim: N, D.
        actions: A, the number of choices, `MultiChoices`, or a `Box` of continuous actions.
        parts: the `Image` and the `EntitySet`s in the states; other numbers are read as they are.
        **options: see `NetworkOptions`. `depth` is that of V, the other networks have one hidden
            layer. `hidden_norm` and `share` are for V and for the head of Q.
    """

    def __init__(
        self,
        n_agents: int,
        state_dim: int,
        actions: int | Actions,
        *,
        parts: Parts = None,
        **options: Any,
    ):
        super().__init__(n_agents, state_dim)
        network = configure(NetworkOptions, options, "RelevanceCritic")
        hidden = network.hidden
        self.hidden = hidden
        self.actions = as_actions(actions, "RelevanceCritic", n_agents)
        self.normalize = input_normalizer(network.input_norm)
        self.read, size = reader_of("RelevanceCritic", self.sizes, parts, network)
        common = select(network, NetworkOptions)
        self.state_critic = StateCritic(n_agents, state_dim, parts=parts, **common)
        shared: dict[str, Any] = {
            "hidden": hidden,
            "depth": 1,
            "activation": network.activation,
            "share": True,
        }
        self.query = AgentMLP(n_agents, size, hidden, **shared)
        self.key_value = AgentMLP(n_agents, size + self.actions.width, 2 * hidden, **shared)
        width = size + hidden + self.actions.width
        head = {**select(network, MLPOptions), "depth": 1}
        self.action_value = AgentMLP(n_agents, width, 1, **head)

    def attend(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """The attention, and what f_Q reads.

        Args:
            state: `[*B, N, D]`.
            action: see `joint_action`.

        Returns:
            α `[B, N, N]`, row = agent whose return it is; inputs of f_Q `[N, B, D + H + A]`.
        """
        rows = self.read(state)
        joint = joint_action(action, state, self.actions)
        acted = joint.unflatten(-1, (-1, self.actions.width)).transpose(0, 1)  # [N, B, A]
        states = self.normalize(rows).transpose(0, 1)  # [N, B, D]
        key_value = self.key_value(torch.cat([states, acted], -1)).transpose(0, 1)
        key, value = key_value.chunk(2, -1)  # [B, N, H] each
        query = self.query(states).transpose(0, 1)
        logits = query @ key.transpose(-1, -2) / math.sqrt(self.hidden)
        diagonal = torch.eye(self.sizes[0], dtype=torch.bool, device=state.device)
        if self.sizes[0] == 1:  # there is nobody to attend to
            alpha = torch.zeros_like(logits)
        else:
            alpha = logits.masked_fill(diagonal, -torch.inf).softmax(-1)
        mixed = (alpha @ value).transpose(0, 1)
        return alpha, torch.cat([states, mixed, acted], -1)

    def forward(self, state: Tensor) -> Tensor:
        """state `[*B, N, D]` → V `[*B, N, 1]`."""
        return self.state_critic(state)

    def predict(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """V(s) and Q(s, a), `[*B, N, 1]` each."""
        _, inputs = self.attend(state, action)
        return self.state_critic(state), agents_last(self.action_value(inputs), state)

    def relevance(self, state: Tensor, action: Tensor) -> Tensor:
        """Influence weight αᵀ `[*B, N, N]`, row = acting agent, 1 on the diagonal."""
        alpha, _ = self.attend(state, action)
        eye = torch.eye(self.sizes[0], device=state.device)
        return (alpha.transpose(-1, -2) + eye).reshape(*state.shape[:-1], -1)

    def relevance_module(
        self, group: str = "agents", state_key: str = "state", action_key: str = "action"
    ) -> TensorDictModule:
        """`(group, state_key)`, `(group, action_key)` → `(group, "influence_weight")`."""
        names = {"group": group, "state_key": state_key, "action_key": action_key}
        require_names("relevance_module", **names)
        keys = [(group, state_key), (group, action_key)]
        out_keys = [(group, "influence_weight")]
        return TensorDictModule(Relevance(self), in_keys=keys, out_keys=out_keys)


class Relevance(nn.Module):
    """`RelevanceCritic.relevance` as a module, which holds the critic's parameters."""

    def __init__(self, critic: RelevanceCritic):
        super().__init__()
        self.critic = critic

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        return self.critic.relevance(state, action)
