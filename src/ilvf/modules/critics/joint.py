"""The critics of MADDPG: every agent's value of the joint action."""

from typing import Any

import torch
from torch import Tensor, nn

from ilvf.modules.agent_nets import AgentMLP, normaliser


class JointCritic(nn.Module):
    """Q_i(s, a) = f_i(LN(s), a): every agent's value of the joint action in the joint state, for all agents at once.

    Args:
        n_agents, state_dim, n_actions: N and D of `("agents", "state")`, A.
        gain: scale of the last layer's orthogonal initialisation: small, or the actors follow the first noise.
        input_norm: `layer` or `none`, see `normaliser`.
        **options: `hidden`, `depth`, `activation`, `hidden_norm`, `share` of `AgentMLP`.
    """

    def __init__(
        self,
        n_agents: int,
        state_dim: int,
        n_actions: int,
        *,
        gain: float = 0.01,
        input_norm: str = "layer",
        **options: Any,
    ):
        super().__init__()
        self.normalise = normaliser(input_norm)
        self.net = AgentMLP(
            n_agents, n_agents * (state_dim + n_actions), 1, head_gain=gain, **options
        )

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """state `[B, N, D]`, joint action `[B, N·A]`, or one for each critic `[N, B, N·A]` → Q `[B, N, 1]`."""
        flat = self.normalise(state.flatten(1))
        return self.net(
            torch.cat([flat.expand(*action.shape[:-1], -1), action.to(flat.dtype)], -1)
        ).transpose(0, 1)
