"""COMA's critic: what every action of one agent would have been worth, the others' actions as they were."""

from typing import Any

import torch
from torch import Tensor, nn

from ilvf.modules.agent_nets import AgentLinear, AgentMLP, normaliser
from ilvf.modules.critics.state import agents_last, require_state
from ilvf.modules.first_layers import joint_action


class CounterfactualCritic(nn.Module):
    """COMA's critic (Foerster et al., 2018): Q of the team for every action of one agent, the others' actions given.

        Q_i(s, ·, a_−i) = f_i(LN(s), a_−i)   →   [A]

    Args:
        n_agents, state_dim, n_actions: N, D, A.
        hidden, depth, hidden_norm, share: see `AgentMLP`; `input_norm`: see `normaliser`.
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
        self.sizes, self.n_actions = (n_agents, state_dim), n_actions
        width = n_agents * state_dim
        self.of_state = AgentLinear(n_agents, width, hidden, share=share)
        self.of_others = AgentLinear(
            n_agents, n_agents * n_actions, hidden, share=share, bias=False
        )
        trunk: dict[str, Any] = dict(
            hidden=hidden, depth=depth, hidden_norm=hidden_norm, share=share, first=False
        )
        self.rest = AgentMLP(n_agents, hidden, n_actions, **trunk)
        mask = 1 - torch.eye(n_agents).repeat_interleave(
            n_actions, 1
        )  # [N, N·A]: zero where an action is one's own
        self.register_buffer("others", mask.unsqueeze(1), persistent=False)

    others: Tensor

    def all_actions(self, state: Tensor, action: Tensor) -> Tensor:
        """state `[*B, N, D]`, action `[*B, N]` → Q_i(s, b, a_−i) of every b, `[*B, N, A]`."""
        require_state(state, *self.sizes)
        flat, acted = state.flatten(0, -3), joint_action(action, state, self.n_actions)
        first = self.of_others.add_to(
            self.of_state(self.normalise(flat.flatten(1))), acted * self.others
        )
        return agents_last(self.rest.after_first(first), state)

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """Q_i(s, a) `[*B, N, 1]`."""
        return self.all_actions(state, action).gather(-1, action.unsqueeze(-1))

    def predict(self, state: Tensor, action: Tensor) -> tuple[Tensor, None]:
        return self(state, action), None
