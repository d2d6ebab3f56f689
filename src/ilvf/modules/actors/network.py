"""`NetworkActor`, the base of all actors with networks, and `StochasticActor`."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Self

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from tensordict.utils import NestedKey
from torch import Tensor
from torchrl.envs.utils import ExplorationType, exploration_type

from ilvf.errors import require
from ilvf.modules.actions import Actions, actions_of_arguments, as_actions
from ilvf.modules.agent_nets import AgentMLP, agents_last, input_normalizer
from ilvf.modules.checks import need, require_mask
from ilvf.modules.memory import CARRY, memory_of
from ilvf.modules.options import MLPOptions, PolicyOptions
from ilvf.modules.parts import Parts, parts_of
from ilvf.modules.reader import reader_of
from ilvf.options import configure, select
from ilvf.options.arguments import require_flags, require_names, require_sizes


class NetworkActor(TensorDictModuleBase):
    """Base of actors that have one network per agent,  f_i(LN(o_i)).

    With a memory the hidden state h_i is an input too. `forward` reads it from `(group, "hidden")`
    `[*B, N, S]` and writes that after the step to `("next", group, "hidden")`.

    Args:
        n_agents, observation_dim: N, Do.
        actions: what the agents can do; A is its `width`.
        outputs: of every network; None is A.
        masked: read the possible actions from `(group, "action_mask")`, bool `[*B, N, A]`.
        group: name of the group of agents.
        parts: the `Image` and the `EntitySet`s in the observations; see `reader_of`.
        **options: see `PolicyOptions`.

    Attributes:
        arguments: the constructor's arguments as plain values, which checkpoints save.
        memory: an `AgentMemory`, or None.
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
        parts: Parts = None,
        **options: Any,
    ):
        super().__init__()
        name = type(self).__name__
        require_sizes(name, n_agents=n_agents, observation_dim=observation_dim)
        require_flags(name, masked=masked)
        require_names(name, group=group)
        self.actions = as_actions(actions, name, n_agents)
        require_maskable(name, self.actions, masked)
        network = configure(PolicyOptions, options, name)
        self.arguments: dict[str, Any] = {
            "n_agents": n_agents,
            "observation_dim": observation_dim,
            **actions.arguments,
            **asdict(network),
            "masked": masked,
            "group": group,
        }
        self.group = group
        self.masked = masked
        self.in_keys = input_keys(group, masked)
        self.out_keys = [(group, entry) for entry in self.written]
        self.normalize = input_normalizer(network.input_norm)
        sizes = (n_agents, observation_dim)
        names = {"reader": "the actor", "what": "observations"}
        self.read, width = reader_of(name, sizes, parts, network, **names)
        found = [asdict(part) for part in parts_of(parts, name)]
        if found:
            self.arguments["parts"] = found
        self.net = AgentMLP(
            n_agents,
            width,
            actions.width if outputs is None else outputs,
            head_gain=network.gain,
            memory=memory_of(network, n_agents, (group, "hidden")),
            **select(network, MLPOptions),
        )
        if self.memory is not None:
            self.in_keys.append(self.memory.key)
            self.out_keys.append(("next", *self.memory.key))

    @classmethod
    def rebuild(cls, arguments: Mapping[str, Any], state: Mapping[str, Tensor]) -> Self:
        """The actor, in evaluation mode, that had these `arguments` and this `state_dict()`."""
        actions, values = actions_of_arguments(arguments)
        if actions is not None:
            values["actions"] = actions
        actor = cls(**values)
        actor.load_state_dict(state)
        return actor.eval()

    def best(self, outputs: Tensor) -> Tensor:
        """The actions `[*B, N, *event]` that a deterministic policy takes.

        Args:
            outputs: of the method `outputs`.
        """
        return outputs.argmax(-1)

    @property
    def memory(self) -> Any:
        """The networks' `AgentMemory`, or None."""
        return self.net.memory

    def outputs(
        self,
        observation: Tensor,
        mask: Tensor | None = None,
        hidden: Tensor | None = None,
        done: Tensor | None = None,
    ) -> Tensor:
        """The networks' outputs.

        Args:
            observation: `[*B, N, Do]`.
            mask: bool `[*B, N, A]`; impossible actions (False) get the lowest finite number.
            hidden, done: see `recall`.

        Returns:
            `[*B, N, A]`, or as many numbers as the networks have outputs.
        """
        return mask_outputs(self.recall(observation, hidden, done)[0], mask)

    def recall(
        self, observation: Tensor, hidden: Tensor | None = None, done: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """The outputs without a mask, and the hidden states `[*B, N, S]` after every step.

        Args:
            observation: `[*B, N, Do]`.
            hidden: of networks with memory. `[*B, N, S]`: the steps stand alone, and each has its
                own. With `done`, `*B` is `[*C, L]`, sequences of L steps, and this is
                `[*C, N, S]`, before the first step.
            done: bool `[*C, L]`: an episode ends with this step.
        """
        rows = self.normalize(self.read(observation)).transpose(0, 1)
        assert self.net.first is not None
        batch = observation.shape[:-2]
        outputs, after = self.net.recall(self.net.first(rows), batch, hidden, done)
        return agents_last(outputs, observation), after

    # ------------------------------------------------------------------ tensordicts
    def inputs(self, tensordict: TensorDictBase) -> dict[str, Tensor]:
        """Arguments of `outputs` for steps that stand alone, each with its own hidden state."""
        names = ["observation"]
        if self.masked:
            names.append("mask")
        if self.memory is not None:
            names.append("hidden")
        found = {}
        for name, key in zip(names, self.in_keys, strict=True):
            found[name] = need(tensordict, key, CARRY if name == "hidden" else "")
        return found

    def sequences(self, tensordict: TensorDictBase) -> dict[str, Tensor]:
        """Arguments of `outputs` for sequences `[*C, L]`, from the hidden state at their start.

        Without a memory the same as `inputs`, for any batch.
        """
        found = self.inputs(tensordict)
        if self.memory is not None:
            found |= self.memory.past(tensordict)
        return found

    def act(self, tensordict: TensorDictBase) -> Tensor:
        """The outputs for the present step; its hidden states go into the tensordict."""
        inputs = self.inputs(tensordict)
        mask = inputs.pop("mask", None)
        outputs, after = self.recall(**inputs)
        if after is not None:
            tensordict.set(self.out_keys[-1], after)
        return mask_outputs(outputs, mask)


class StochasticActor(NetworkActor):
    """Base of the actors that sample: what PPO, the score test and the audit need of a policy."""

    @property
    def sample_key(self) -> NestedKey:
        """The key whose values have the log-probability that `evaluate` returns."""
        return self.out_keys[0]

    @abstractmethod
    def evaluate(self, tensordict: TensorDictBase) -> tuple[Tensor, Tensor]:
        """Log-probability of the recorded actions, and entropy, `[*B, N]` each.

        With a memory the batch is sequences `[*C, L]`, see `NetworkActor.sequences`.
        """

    @abstractmethod
    def draw(self, tensordict: TensorDictBase, noise: torch.Generator) -> Tensor:
        """Actions `[*B, N, *event]` with noise from a generator.

        The same noise gives the same action wherever the observation is the same.
        """


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


def require_maskable(of: str, actions: Actions, masked: bool) -> None:
    """Raise if actions of a `Box` are to be masked."""
    require(
        not masked or actions.maskable,
        f"{of}: masked=True is for discrete actions; bounds say what is possible of others",
    )


def mask_outputs(outputs: Tensor, mask: Tensor | None) -> Tensor:
    """`outputs` `[*B, N, A]` with the lowest finite number for impossible actions (mask False)."""
    if mask is None:
        return outputs
    require_mask(mask, tuple(outputs.shape))
    return outputs.masked_fill(~mask, torch.finfo(outputs.dtype).min)
