"""`JointCritic`: the critics of MADDPG, every agent's value of the joint action."""

from typing import Any

import torch
from torch import Tensor, nn

from ilvf.errors import require
from ilvf.modules.actions import Actions, as_actions
from ilvf.modules.agent_nets import AgentMLP, input_normalizer
from ilvf.modules.checks import require_tensor
from ilvf.modules.options import ActorOptions, MLPOptions
from ilvf.modules.parts import Parts
from ilvf.modules.reader import reader_of
from ilvf.options import configure, select
from ilvf.options.arguments import require_sizes


class JointCritic(nn.Module):
    """Every agent's value of the joint action in the joint state:  Q_i(s, a) = f_i(LN(s), a).

    Args:
        n_agents, state_dim: N and D of `("agents", "state")`.
        actions: A, the number of choices, `MultiChoices`, or a `Box` of continuous actions.
        parts: the `Image` and the `EntitySet`s in the states; other numbers are read as they are.
        **options: see `ActorOptions`. A small `gain` lets the values start near 0, so that the
            actors do not follow the random initial critics.
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
        super().__init__()
        require_sizes("JointCritic", n_agents=n_agents, state_dim=state_dim)
        self.sizes = (n_agents, state_dim)
        self.joint_width = n_agents * as_actions(actions, "JointCritic", n_agents).width
        network = configure(ActorOptions, options, "JointCritic")
        self.read, size = reader_of("JointCritic", self.sizes, parts, network)
        width = n_agents * size + self.joint_width
        layers = select(network, MLPOptions)
        self.normalize = input_normalizer(network.input_norm)
        self.net = AgentMLP(n_agents, width, 1, head_gain=network.gain, **layers)

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """Q `[B, N, 1]`.

        Args:
            state: `[B, N, D]`.
            action: vectors of the joint action (see `Actions.encode`) `[B, N·A]`, or those of one
                joint action for each critic `[N, B, N·A]`.
        """
        require_tensor("the joint action", action)
        require(
            action.shape[-1:] == (self.joint_width,),
            f"the joint action has shape {tuple(action.shape)}, need [..., {self.joint_width}]: "
            "the vectors of all agents' actions, concatenated",
        )
        joint = self.normalize(self.read(state).flatten(1))
        joint = joint.expand(*action.shape[:-1], -1)
        inputs = torch.cat([joint, action.to(joint.dtype)], -1)
        return self.net(inputs).transpose(0, 1)
