"""`CounterfactualCritic`: the critic of COMA, the value of every action of one agent."""

from typing import Any

import torch
from torch import Tensor, nn

from ilvf.modules.actions import choices_of, entries_of
from ilvf.modules.agent_nets import (
    AgentLinear,
    AgentMLP,
    agents_last,
    input_normalizer,
    joint_action,
)
from ilvf.modules.options import MLPOptions, NetworkOptions
from ilvf.modules.parts import Parts
from ilvf.modules.reader import reader_of
from ilvf.options import configure, select
from ilvf.options.arguments import require_sizes


class CounterfactualCritic(nn.Module):
    """The team's value of every action of one agent, given the actions of the others.

        Q_i(s, ·, a_−i) = f_i(LN(s), a_−i)   →   [A]

    The critic of COMA (Foerster et al., 2018).

    Args:
        n_agents, state_dim, n_actions: N, D, A; actions must be discrete.
        parts: the `Image` and the `EntitySet`s in the states; other numbers are read as they are.
        **options: see `NetworkOptions`.
    """

    others: Tensor  # [N, 1, N·A]: 0 at an agent's own action, 1 at the others'

    def __init__(
        self,
        n_agents: int,
        state_dim: int,
        n_actions: int,
        *,
        parts: Parts = None,
        **options: Any,
    ):
        super().__init__()
        require_sizes("CounterfactualCritic", n_agents=n_agents, state_dim=state_dim)
        self.actions = choices_of(n_actions, "CounterfactualCritic")
        network = configure(NetworkOptions, options, "CounterfactualCritic")
        hidden = network.hidden
        share = network.share
        self.sizes = (n_agents, state_dim)
        self.normalize = input_normalizer(network.input_norm)
        self.read, width = reader_of("CounterfactualCritic", self.sizes, parts, network)
        self.of_state = AgentLinear(n_agents, n_agents * width, hidden, share=share)
        self.of_others = AgentLinear(
            n_agents, n_agents * n_actions, hidden, share=share, bias=False
        )
        layers = select(network, MLPOptions)
        self.rest = AgentMLP(n_agents, hidden, n_actions, first=False, **layers)
        others = 1 - torch.eye(n_agents).repeat_interleave(n_actions, 1)
        self.register_buffer("others", others.unsqueeze(1), persistent=False)

    def all_actions(self, state: Tensor, action: Tensor) -> Tensor:
        """Q_i(s, b, a_−i) of every action b, `[*B, N, A]`.

        Args:
            state: `[*B, N, D]`.
            action: indices `[*B, N]`.
        """
        rows = self.read(state)
        others_actions = joint_action(action, state, self.actions) * self.others
        y = self.of_state(self.normalize(rows.flatten(1)))
        y = self.of_others.add_to(y, others_actions)
        return agents_last(self.rest.after_first(y), state)

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """Q_i(s, a) `[*B, N, 1]`."""
        return entries_of(self.all_actions(state, action), action)

    def predict(self, state: Tensor, action: Tensor) -> tuple[Tensor, None]:
        """Q_i(s, a) `[*B, N, 1]`, which takes the place of V in the losses."""
        return self(state, action), None
