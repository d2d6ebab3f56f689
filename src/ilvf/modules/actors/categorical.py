"""`CategoricalActor`: N categorical policies as one module, and the base of other actors."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Self

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from tensordict.utils import NestedKey
from torch import Tensor
from torch.nn import functional as F
from torchrl.envs.utils import ExplorationType, exploration_type

from ilvf.errors import require
from ilvf.modules.actions import Actions, Box, Choices, as_actions, choices_of, entries_of
from ilvf.modules.agent_nets import AgentMLP, input_normalizer, state_rows
from ilvf.modules.attention import gumbel_like
from ilvf.modules.checks import need, require_mask
from ilvf.modules.memory import CARRY, memory_of
from ilvf.modules.options import MLPOptions, PolicyOptions
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
        self.net = AgentMLP(
            n_agents,
            observation_dim,
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
        sizes = (self.arguments["n_agents"], self.arguments["observation_dim"])
        rows = state_rows(observation, *sizes, "the actor", "observations")
        rows = self.normalize(rows).transpose(0, 1)
        assert self.net.first is not None
        batch = observation.shape[:-2]
        outputs, after = self.net.recall(self.net.first(rows), batch, hidden, done)
        return outputs.transpose(0, 1).unflatten(0, batch), after

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


class CategoricalActor(NetworkActor):
    """Categorical policies of all agents:  π_i(a | o_i) = softmax f_i(LN(o_i)).

    With `recurrent`, f_i reads the agent's hidden state too, see `NetworkActor`.

    Reads `(group, "observation")` `[*B, N, Do]` and, with `masked=True`, `(group, "action_mask")`
    `[*B, N, A]`. Writes `(group, "action")` `[*B, N]` and `(group, "action_log_prob")` `[*B, N]`.
    Samples, or takes the most likely actions in a `deterministic_mode`.

    Args:
        n_agents, observation_dim, n_actions: N, Do, A.
        **options: see `NetworkActor`.
    """

    written = ("action", "action_log_prob")

    def __init__(self, n_agents: int, observation_dim: int, n_actions: int, **options: Any):
        actions = choices_of(n_actions, type(self).__name__)
        super().__init__(n_agents, observation_dim, actions, **options)

    @property
    def sample_key(self) -> NestedKey:
        """The key whose values have the log-probability that `evaluate` returns."""
        return self.out_keys[0]

    def log_probs(
        self,
        observation: Tensor,
        mask: Tensor | None = None,
        hidden: Tensor | None = None,
        done: Tensor | None = None,
    ) -> Tensor:
        """log π_i(a | o_i) of every action, `[*B, N, A]`, with the arguments of `outputs`."""
        return self.outputs(observation, mask, hidden, done).log_softmax(-1)

    def log_probs_of(self, tensordict: TensorDictBase) -> Tensor:
        """`log_probs` of a tensordict's steps, each with its own hidden state."""
        return self.log_probs(**self.inputs(tensordict))

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        log_probs = self.act(tensordict).log_softmax(-1)
        return choose(tensordict, log_probs, self.out_keys, greedy=deterministic_mode())

    def evaluate(self, tensordict: TensorDictBase) -> tuple[Tensor, Tensor]:
        """Log-probability of the recorded actions, and entropy, `[*B, N]` each.

        With a memory the batch is sequences `[*C, L]`, see `NetworkActor.sequences`.
        """
        log_probs = self.log_probs(**self.sequences(tensordict))
        chosen = select_action(log_probs, need(tensordict, self.out_keys[0]))
        return chosen, entropy_of(log_probs)

    def vectors(self, tensordict: TensorDictBase) -> Tensor:
        """Samples, one-hot `[*B, N, A]`."""
        log_probs = self.log_probs_of(tensordict)
        return F.one_hot(sample_action(log_probs), log_probs.shape[-1])

    def relaxed(
        self, tensordict: TensorDictBase, temperature: float
    ) -> tuple[Tensor, Tensor | None]:
        """Samples with a gradient `[*B, N, A]`, see `straight_through`, and entropy `[*B, N]`."""
        log_probs = self.log_probs_of(tensordict)
        entropy = entropy_of(log_probs)
        return straight_through(log_probs, temperature), entropy


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
        not masked or isinstance(actions, Choices),
        f"{of}: masked=True is for discrete actions; bounds say what is possible of others",
    )


def mask_outputs(outputs: Tensor, mask: Tensor | None) -> Tensor:
    """`outputs` `[*B, N, A]` with the lowest finite number for impossible actions (mask False)."""
    if mask is None:
        return outputs
    require_mask(mask, tuple(outputs.shape))
    return outputs.masked_fill(~mask, torch.finfo(outputs.dtype).min)


# ---------------------------------------------------------------------- formulas
def entropy_of(log_probs: Tensor) -> Tensor:
    """Entropy `[*B]` of categorical distributions `[*B, A]`."""
    return -(log_probs.exp() * log_probs).sum(-1)


def select_action(outputs: Tensor, action: Tensor) -> Tensor:
    """The entries of `outputs` `[*B, N, A]` at the actions `[*B, N]`: `[*B, N]`."""
    return entries_of(outputs, action).squeeze(-1)


def sample_action(log_probs: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Samples `[*B, N]` of categorical distributions `[*B, N, A]`, by the Gumbel-max trick.

    The same noise gives the same action wherever the probabilities are the same.
    """
    return (log_probs + gumbel_like(log_probs, generator)).argmax(-1)


def straight_through(log_probs: Tensor, temperature: float) -> Tensor:
    """One-hot samples of softmax(log_probs) with the gradient of their Gumbel-softmax relaxation.

        z = log_probs + g,    g ~ Gumbel,    p = softmax(z / temperature)
        sample = one_hot(argmax z) + p − [p],    [·] detached

    Args:
        log_probs: `[*B, A]`.
        temperature: of the relaxation; a lower one makes the gradient less biased and noisier.

    Returns:
        `[*B, A]` (Jang et al., 2017).
    """
    z = log_probs + gumbel_like(log_probs)
    soft = (z / temperature).softmax(-1)
    hard = F.one_hot(z.argmax(-1), z.shape[-1]).to(soft.dtype)
    return hard + (soft - soft.detach())


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
