"""`GreedyActor`: N action-value networks with ε-greedy actions, and random actions for warm-up."""

from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from ilvf.modules.actions import choices_of
from ilvf.modules.actors.network import NetworkActor, deterministic_mode
from ilvf.modules.checks import need
from ilvf.modules.memory import CARRY, memories_of


class GreedyActor(NetworkActor):
    """The best action by the agent's own values, or with probability ε a random possible action.

        Q_i(o_i, ·) = f_i(LN(o_i)),    a_i = argmax_a Q_i(o_i, a)

    With `recurrent`, f_i reads the agent's hidden state too, see `NetworkActor`.

    Reads `(group, "observation")` `[*B, N, Do]` and, with `masked=True`, `(group, "action_mask")`
    `[*B, N, A]`. Writes `(group, "action")` `[*B, N]`. Arguments: see `NetworkActor`. A small
    `gain` lets the values start at 0, so that the first targets do not bootstrap from the maximum
    of random numbers.

    Attributes:
        epsilon: ε, a buffer that algorithms set; 0 is used in a `deterministic_mode`.
    """

    written = ("action",)
    epsilon: Tensor

    def __init__(self, n_agents: int, observation_dim: int, n_actions: int, **options: Any):
        actions = choices_of(n_actions, type(self).__name__)
        super().__init__(n_agents, observation_dim, actions, **options)
        self.register_buffer("epsilon", torch.zeros(()))

    def values(
        self,
        observation: Tensor,
        mask: Tensor | None = None,
        hidden: Tensor | None = None,
        done: Tensor | None = None,
    ) -> Tensor:
        """Q_i(o_i, a) of every action, `[*B, N, A]`, with the arguments of `outputs`."""
        return self.outputs(observation, mask, hidden, done)

    def values_of(self, tensordict: TensorDictBase) -> Tensor:
        """`values` of a tensordict's steps without a mask, each with its own hidden state."""
        hidden = None if self.memory is None else need(tensordict, self.memory.key, CARRY)
        return self.values(need(tensordict, self.in_keys[0]), hidden=hidden)

    def mask_of(self, tensordict: TensorDictBase) -> Tensor | None:
        """The possible actions, bool `[*B, N, A]`; None if all are."""
        return need(tensordict, self.in_keys[1]) if self.masked else None

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        values = self.act(tensordict)
        action = values.argmax(-1)
        if not deterministic_mode():
            random = self.actions.random(values, self.mask_of(tensordict))
            explore = torch.rand(action.shape, device=action.device) < self.epsilon
            action = torch.where(explore, random, action)
        return tensordict.set(self.out_keys[0], action)


class RandomFirst(TensorDictModuleBase):
    """The actor, or uniformly random possible actions, which fill a replay buffer before learning.

    A recurrent actor remembers the steps of random actions too.

    Args:
        actor: has `actions` and reads observations first, such as a `NetworkActor`.

    Attributes:
        random: whether to take random actions; False at first.
    """

    def __init__(self, actor: TensorDictModuleBase):
        super().__init__()
        self.actor = actor
        self.random = False
        remembered = [memory.key for memory in memories_of(actor)]
        self.remembers = bool(remembered)
        self.seen = [key for key in actor.in_keys if key not in remembered]
        self.in_keys = actor.in_keys
        self.out_keys = actor.out_keys if remembered else actor.out_keys[:1]

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        if not self.random:
            return self.actor(tensordict)
        if self.remembers:
            self.actor(tensordict)  # its action is replaced
        observation, *mask = (need(tensordict, key) for key in self.seen)
        return tensordict.set(self.out_keys[0], self.actor.actions.random(observation, *mask))


def linear_schedule(frames: int, start: float, end: float, over: int) -> float:
    """Linear decay from `start` at frame 0 to `end` at frame `over`, then constant."""
    if frames >= over:
        return end
    return start + (end - start) * frames / over
