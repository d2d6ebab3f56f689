"""`NetworkActor`: the base of actors that have one network per agent."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Self

import torch
from tensordict.nn import TensorDictModuleBase
from tensordict.utils import NestedKey
from torch import Tensor
from torchrl.envs.utils import ExplorationType, exploration_type

from ilvf.errors import require
from ilvf.modules.actions import Actions, Box, Choices
from ilvf.modules.agent_nets import AgentMLP, input_normalizer
from ilvf.modules.options import ActorOptions, MLPOptions
from ilvf.options import configure, select


class NetworkActor(TensorDictModuleBase):
    """Base of actors that have one network per agent,  f_i(LN(o_i)).

    Args:
        n_agents, observation_dim: N, Do.
        actions: what the agents can do; A is its `width`.
        outputs: of every network; None is A.
        masked: read the possible actions from `(group, "action_mask")`, bool `[*B, N, A]`.
        group: name of the group of agents.
        **options: see `ActorOptions`.

    Attributes:
        arguments: the constructor's arguments as plain values, which checkpoints save.
    """

    written: tuple[str, ...]  # names of the entries that the actor writes

    def __init__(
        self,
        n_agents: int,
        observation_dim: int,
        actions: Actions,
        *,
        outputs: int | None = None,
        masked: bool = False,
        group: str = "agents",
        **options: Any,
    ):
        super().__init__()
        name = type(self).__name__
        network = configure(ActorOptions, options, name)
        self.arguments: dict[str, Any] = {
            "n_agents": n_agents,
            "observation_dim": observation_dim,
            **actions.arguments,
            **asdict(network),
            "masked": masked,
            "group": group,
        }
        require(
            not masked or isinstance(actions, Choices),
            f"{name}: masked=True is for discrete actions; bounds say what is possible of others",
        )
        if isinstance(actions, Box):
            require(
                actions.n_agents == n_agents,
                f"{name}: n_agents={n_agents}, but the Box has bounds of {actions.n_agents} agents",
            )
        self.actions = actions
        self.group = group
        self.masked = masked
        self.in_keys = input_keys(group, masked)
        self.out_keys = [(group, entry) for entry in self.written]
        self.normalize = input_normalizer(network.input_norm)
        self.net = AgentMLP(
            n_agents,
            observation_dim,
            actions.width if outputs is None else outputs,
            head_gain=network.gain,
            **select(network, MLPOptions),
        )

    @classmethod
    def rebuild(cls, arguments: Mapping[str, Any], state: Mapping[str, Tensor]) -> Self:
        """The actor, in evaluation mode, that had these `arguments` and this `state_dict()`."""
        values = dict(arguments)
        if "low" in values:
            values["actions"] = Box(values.pop("low"), values.pop("high", None))
        actor = cls(**values)
        actor.load_state_dict(state)
        return actor.eval()

    def best(self, outputs: Tensor) -> Tensor:
        """The actions `[*B, N]`, or `[*B, N, A]` of a `Box`, that a deterministic policy takes.

        Args:
            outputs: of the method `outputs`.
        """
        return outputs.argmax(-1)

    def outputs(self, observation: Tensor, mask: Tensor | None = None) -> Tensor:
        """The networks' outputs.

        Args:
            observation: `[*B, N, Do]`.
            mask: bool `[*B, N, A]`; impossible actions (False) get the lowest finite number.

        Returns:
            `[*B, N, A]`, or as many numbers as the networks have outputs.
        """
        rows = self.normalize(observation.flatten(0, -3)).transpose(0, 1)
        outputs = self.net(rows).transpose(0, 1).unflatten(0, observation.shape[:-2])
        return mask_outputs(outputs, mask)


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
