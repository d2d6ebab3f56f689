"""`CategoricalActor`: N categorical policies as one module, and the base of other actors."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Self

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from tensordict.utils import NestedKey
from torch import Tensor
from torchrl.envs.utils import ExplorationType, exploration_type

from ilvf.modules.agent_nets import AgentMLP, input_normalizer
from ilvf.modules.attention import gumbel_like
from ilvf.modules.options import ActorOptions, MLPOptions
from ilvf.options import configure, select


class NetworkActor(TensorDictModuleBase):
    """Base of actors that have one network per agent,  f_i(LN(o_i)), with one output per action.

    Args:
        n_agents, observation_dim, n_actions: N, Do, A.
        masked: read the possible actions from `(group, "action_mask")`, bool `[*B, N, A]`.
        group: name of the group of agents.
        **options: see `ActorOptions`.

    Attributes:
        arguments: the constructor's arguments, which checkpoints save.
    """

    written: tuple[str, ...]  # names of the entries that the actor writes

    def __init__(
        self,
        n_agents: int,
        observation_dim: int,
        n_actions: int,
        *,
        masked: bool = False,
        group: str = "agents",
        **options: Any,
    ):
        super().__init__()
        network = configure(ActorOptions, options, type(self).__name__)
        self.arguments: dict[str, Any] = {
            "n_agents": n_agents,
            "observation_dim": observation_dim,
            "n_actions": n_actions,
            **asdict(network),
            "masked": masked,
            "group": group,
        }
        self.group = group
        self.masked = masked
        self.in_keys = input_keys(group, masked)
        self.out_keys = [(group, name) for name in self.written]
        self.normalize = input_normalizer(network.input_norm)
        self.net = AgentMLP(
            n_agents,
            observation_dim,
            n_actions,
            head_gain=network.gain,
            **select(network, MLPOptions),
        )

    @classmethod
    def rebuild(cls, arguments: Mapping[str, Any], state: Mapping[str, Tensor]) -> Self:
        """The actor, in evaluation mode, that had these `arguments` and this `state_dict()`."""
        actor = cls(**arguments)
        actor.load_state_dict(state)
        return actor.eval()

    def outputs(self, observation: Tensor, mask: Tensor | None = None) -> Tensor:
        """The networks' outputs for every action.

        Args:
            observation: `[*B, N, Do]`.
            mask: bool `[*B, N, A]`; impossible actions (False) get the lowest finite number.

        Returns:
            `[*B, N, A]`.
        """
        rows = self.normalize(observation.flatten(0, -3)).transpose(0, 1)
        outputs = self.net(rows).transpose(0, 1).unflatten(0, observation.shape[:-2])
        return mask_outputs(outputs, mask)


class CategoricalActor(NetworkActor):
    """Categorical policies of all agents:  π_i(a | o_i) = softmax f_i(LN(o_i)).

    Reads `(group, "observation")` `[*B, N, Do]` and, with `masked=True`, `(group, "action_mask")`
    `[*B, N, A]`. Writes `(group, "action")` `[*B, N]` and `(group, "action_log_prob")` `[*B, N]`.
    Samples, or takes the most likely actions in a `deterministic_mode`. Arguments: see
    `NetworkActor`.
    """

    written = ("action", "action_log_prob")

    def log_probs(self, observation: Tensor, mask: Tensor | None = None) -> Tensor:
        """log π_i(a | o_i) of every action, `[*B, N, A]`, with the arguments of `outputs`."""
        return self.outputs(observation, mask).log_softmax(-1)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        log_probs = self._log_probs_of(tensordict)
        return choose(tensordict, log_probs, self.out_keys, greedy=deterministic_mode())

    def evaluate(self, tensordict: TensorDictBase) -> tuple[Tensor, Tensor]:
        """Log-probability of the recorded actions, and entropy, `[*B, N]` each."""
        log_probs = self._log_probs_of(tensordict)
        chosen = select_action(log_probs, tensordict.get(self.out_keys[0]))
        entropy = -(log_probs.exp() * log_probs).sum(-1)
        return chosen, entropy

    def _log_probs_of(self, tensordict: TensorDictBase) -> Tensor:
        return self.log_probs(*(tensordict.get(key) for key in self.in_keys))


# ---------------------------------------------------------------------- shared by all actors
def deterministic_mode() -> bool:
    """Whether TorchRL's exploration type asks for the most likely actions."""
    return exploration_type() in (ExplorationType.DETERMINISTIC, ExplorationType.MODE)


def input_keys(group: str, masked: bool) -> list[NestedKey]:
    """The keys that an actor reads."""
    keys: list[NestedKey] = [(group, "observation")]
    if masked:
        keys.append((group, "action_mask"))
    return keys


def mask_outputs(outputs: Tensor, mask: Tensor | None) -> Tensor:
    """`outputs` `[*B, N, A]` with the lowest finite number for impossible actions (mask False)."""
    if mask is None:
        return outputs
    return outputs.masked_fill(~mask, torch.finfo(outputs.dtype).min)


def select_action(outputs: Tensor, action: Tensor) -> Tensor:
    """The entries of `outputs` `[*B, N, A]` at the actions `[*B, N]`: `[*B, N]`."""
    return outputs.gather(-1, action.unsqueeze(-1)).squeeze(-1)


def sample_action(log_probs: Tensor) -> Tensor:
    """Samples `[*B, N]` of categorical distributions `[*B, N, A]`, by the Gumbel-max trick."""
    return (log_probs + gumbel_like(log_probs)).argmax(-1)


def choose(
    td: TensorDictBase, log_probs: Tensor, keys: Sequence[NestedKey], *, greedy: bool = False
) -> TensorDictBase:
    """Write one action per agent and its log-probability, `[*B, N]` each.

    Args:
        td: where to write.
        log_probs: of every action, `[*B, N, A]`.
        keys: of the action and of its log-probability.
        greedy: take the most likely action instead of sampling.
    """
    action = log_probs.argmax(-1) if greedy else sample_action(log_probs)
    td.set(keys[0], action)
    return td.set(keys[1], select_action(log_probs, action))
