"""The actors of a team: N categorical policies as one module."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from tensordict.utils import NestedKey
from torch import Tensor
from torchrl.envs.utils import ExplorationType, exploration_type

from ilvf.modules.agent_nets import AgentMLP, normaliser
from ilvf.modules.attention import gumbel_like


def told_greedy() -> bool:
    """Does TorchRL's exploration type ask for the most likely actions?"""
    return exploration_type() in (ExplorationType.DETERMINISTIC, ExplorationType.MODE)


def choose(
    td: TensorDictBase, log_probs: Tensor, keys: Sequence[NestedKey], *, greedy: bool = False
) -> TensorDictBase:
    """Write one action per agent, `[*B, N]`, and its log-probability under `keys`, from log-probs `[*B, N, A]`.

    Drawn by the Gumbel-max trick, or the most likely one.
    """
    action = (log_probs if greedy else log_probs + gumbel_like(log_probs)).argmax(-1)
    td.set(keys[0], action)
    return td.set(keys[1], log_probs.gather(-1, action.unsqueeze(-1)).squeeze(-1))


class CategoricalActor(TensorDictModuleBase):
    """π_i(a_i | o_i) = softmax f_i(LN(o_i)) for all agents, as few operations a step as it takes.

    Reads `(group, "observation")` `[*B, N, Do]` and, with `masked=True`, `(group, "action_mask")` `[*B, N, A]`; writes
    `(group, "action")` `[*B, N]` and `(group, "action_log_prob")` `[*B, N]`. Samples by default, takes the most likely
    action under `ExplorationType.DETERMINISTIC` or `MODE`.

    Args:
        n_agents, observation_dim, n_actions: N, Do, A.
        hidden, depth: hidden layers; `gain`: scale of the last layer's orthogonal initialisation.
        hidden_norm: LayerNorm after every hidden layer (official MAPPO).
        input_norm: `layer` or `none`, see `normaliser`.
        share: one network for all agents, whose identity enters as a bias.
        masked: agents differ in their actions, or some actions are not always possible.
    """

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
        self.out_keys = [(group, "action"), (group, "action_log_prob")]
        self.net = AgentMLP(n_agents, observation_dim, n_actions, head_gain=gain, **options)

    @classmethod
    def rebuild(
        cls, arguments: Mapping[str, Any], state: Mapping[str, Tensor]
    ) -> "CategoricalActor":
        """The actor that had these `arguments` and this `state_dict()`."""
        actor = cls(**arguments)
        actor.load_state_dict(state)
        return actor.eval()

    def log_probs(self, observation: Tensor, mask: Tensor | None = None) -> Tensor:
        """log π_i(a | o_i) of every action, `[*B, N, A]`; impossible actions get the lowest finite number."""
        flat = self.normalise(observation.flatten(0, -3)).transpose(0, 1)
        logits = self.net(flat).transpose(0, 1).unflatten(0, observation.shape[:-2])
        if mask is not None:
            logits = logits.masked_fill(~mask, torch.finfo(logits.dtype).min)
        return logits.log_softmax(-1)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        logp = self.log_probs(*(tensordict.get(k) for k in self.in_keys))
        return choose(tensordict, logp, self.out_keys, greedy=told_greedy())

    def evaluate(self, tensordict: TensorDictBase) -> tuple[Tensor, Tensor]:
        """(log-probability of the recorded action, entropy), `[*B, N]` each."""
        logp = self.log_probs(*(tensordict.get(k) for k in self.in_keys))
        chosen = logp.gather(-1, tensordict.get(self.out_keys[0]).unsqueeze(-1)).squeeze(-1)
        return chosen, -(logp.exp() * logp).sum(-1)
