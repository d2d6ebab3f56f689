"""Acting by values: N action-value networks, ε-greedy while they learn."""

from collections.abc import Mapping
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from ilvf.modules.actors.categorical import told_greedy
from ilvf.modules.agent_nets import AgentMLP, normaliser


class GreedyActor(TensorDictModuleBase):
    """a_i = argmax_a Q_i(o_i, a), with probability ε a uniformly random possible action instead, for all agents.

        Q_i(o_i, ·) = f_i(LN(o_i))

    Reads `(group, "observation")` `[*B, N, Do]` and, with `masked=True`, `(group, "action_mask")` `[*B, N, A]`; writes
    `(group, "action")` `[*B, N]`. ε is `epsilon`, a buffer that algorithms set; under `ExplorationType.DETERMINISTIC`
    or `MODE` it is 0.

    Args:
        n_agents, observation_dim, n_actions: N, Do, A.
        hidden, depth: hidden layers; `gain`: scale of the last layer's orthogonal initialisation: small, so that values
            begin at 0 and not at the bootstrapped maximum of noise.
        hidden_norm: LayerNorm after every hidden layer.
        input_norm: `layer` or `none`, see `normaliser`.
        share: one network for all agents, whose identity enters as a bias.
        masked: agents differ in their actions, or some actions are not always possible.
    """

    epsilon: Tensor

    def __init__(
        self,
        n_agents: int,
        observation_dim: int,
        n_actions: int,
        *,
        hidden: int = 64,
        depth: int = 2,
        gain: float = 0.01,
        activation: str = "relu",
        hidden_norm: bool = False,
        input_norm: str = "layer",
        share: bool = False,
        masked: bool = False,
        group: str = "agents",
    ):
        super().__init__()
        sizes = dict(n_agents=n_agents, observation_dim=observation_dim, n_actions=n_actions)
        options: dict[str, Any] = dict(
            hidden=hidden, depth=depth, activation=activation, hidden_norm=hidden_norm, share=share
        )
        self.arguments: dict[str, Any] = {
            **sizes,
            **options,
            "gain": gain,
            "masked": masked,
            "group": group,
        }
        self.arguments["input_norm"], self.normalise = input_norm, normaliser(input_norm)
        self.group, self.masked = group, masked
        self.in_keys = [(group, "observation")] + ([(group, "action_mask")] if masked else [])
        self.out_keys = [(group, "action")]
        self.net = AgentMLP(n_agents, observation_dim, n_actions, head_gain=gain, **options)
        self.register_buffer("epsilon", torch.zeros(()))

    @classmethod
    def rebuild(cls, arguments: Mapping[str, Any], state: Mapping[str, Tensor]) -> "GreedyActor":
        """The actor that had these `arguments` and this `state_dict()`."""
        actor = cls(**arguments)
        actor.load_state_dict(state)
        return actor.eval()

    def values(self, observation: Tensor, mask: Tensor | None = None) -> Tensor:
        """Q_i(o_i, a) of every action, `[*B, N, A]`; impossible actions get the lowest finite number."""
        flat = self.normalise(observation.flatten(0, -3)).transpose(0, 1)
        values = self.net(flat).transpose(0, 1).unflatten(0, observation.shape[:-2])
        return values if mask is None else values.masked_fill(~mask, torch.finfo(values.dtype).min)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        inputs = [tensordict.get(k) for k in self.in_keys]
        values = self.values(*inputs)
        action = values.argmax(-1)
        if not told_greedy():
            other = random_action(values, *inputs[1:])
            action = torch.where(
                torch.rand(action.shape, device=action.device) < self.epsilon, other, action
            )
        return tensordict.set(self.out_keys[0], action)


class RandomFirst(TensorDictModuleBase):
    """`actor`, or, while `random` is set, uniformly random possible actions: what fills a buffer before learning."""

    def __init__(self, actor: TensorDictModuleBase):
        super().__init__()
        self.actor, self.random = actor, False
        self.in_keys, self.out_keys = actor.in_keys, actor.out_keys[:1]

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        if not self.random:
            return self.actor(tensordict)
        observation, *mask = (tensordict.get(k) for k in self.in_keys)
        values = observation.new_empty(*observation.shape[:-1], self.actor.arguments["n_actions"])
        return tensordict.set(self.out_keys[0], random_action(values, *mask))


def random_action(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """A uniformly random possible action `[*B, N]`, for values `[*B, N, A]` of which only the shape matters."""
    if mask is None:
        return torch.randint(values.shape[-1], values.shape[:-1], device=values.device)
    return torch.rand(values.shape, device=values.device).masked_fill(~mask, -1).argmax(-1)


def linear_schedule(frames: int, start: float, end: float, over: int) -> float:
    """From `start` at 0 frames in a straight line to `end` at `over` frames, and `end` from then on."""
    return end if frames >= over else start + (end - start) * frames / over
