"""`AgentMemory`: N recurrent cells, one per agent, and the hidden states that tensordicts carry.

Axes: `C` sequences of `L` steps, `N` agents, `H` units, `S` numbers of a hidden state.
"""

from abc import abstractmethod
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor, nn
from torchrl.data import Composite, Unbounded
from torchrl.envs import TensorDictPrimer

from ilvf.errors import UsageError, require
from ilvf.modules.agent_nets import AgentLinear
from ilvf.modules.checks import need, require_tensor, require_truth
from ilvf.modules.options import NetworkOptions
from ilvf.options.arguments import require_sizes

ENDED = ("next", "done")  # an episode ends with this step
CARRY = "ilvf.data.rollout.with_memory(env, policy) carries the hidden states along"


class AgentMemory(nn.Module):
    """A recurrent cell per agent, as one batched matrix product for all agents.

    The products with the inputs are one for all steps of a sequence; those with the hidden states
    are one for each step.

    Args:
        n_agents, hidden: N, and H, the features that go in and come out.
        key: of the hidden states in a tensordict; that after a step is at `("next", key)`.
        share: one cell for all agents, with a bias of each agent.

    Attributes:
        width: (N, H).
        sizes: (N, S), of the hidden states of one environment.
    """

    gates: int  # products of H outputs each
    states: int  # S / H

    def __init__(self, n_agents: int, hidden: int, key: NestedKey, *, share: bool = False):
        super().__init__()
        require_sizes(type(self).__name__, n_agents=n_agents, hidden=hidden)
        self.key = key
        self.width = (n_agents, hidden)
        self.sizes = (n_agents, hidden * self.states)
        gates = self.gates * hidden
        self.of_input = AgentLinear(n_agents, hidden, gates, gain=1.0, share=share)
        self.of_state = AgentLinear(n_agents, hidden, gates, gain=1.0, share=share)

    @abstractmethod
    def cell(self, x: Tensor, state: Tensor) -> Tensor:
        """The state `[N, C, S]` after a step; x is `of_input` of its features, `[N, C, ·]`."""

    def forward(
        self, x: Tensor, batch: tuple[int, ...], hidden: Tensor | None, done: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The features after the memory, and the hidden states after every step.

        Args:
            x: features `[N, B, H]`, the steps of a sequence one after the other.
            batch: the axes `*B`; with `done`, `[*C, L]`.
            hidden: before the first step of every sequence, `[*C, N, S]`.
            done: bool `[*C, L]`: an episode ends with this step, so that the next one begins with
                a state of 0. None: sequences of one step, whose hidden states are `[*B, N, S]`.

        Returns:
            `[N, B, H]`, and `[*B, N, S]`, also where an episode ends.

        Raises:
            UsageError: hidden states are missing, or have another shape.
        """
        hidden = self._fitting(batch, hidden, done)
        before = hidden.reshape(-1, *self.sizes).transpose(0, 1)
        units = x.shape[-1]
        x = self.of_input(x)
        after = self.cell(x, before) if done is None else self._steps(x, before, done)
        return after[..., :units], after.transpose(0, 1).reshape(*batch, *self.sizes)

    def _steps(self, x: Tensor, before: Tensor, done: Tensor) -> Tensor:
        """The states `[N, B, S]` after every step of sequences, from `[N, C, S]`."""
        ends = done.reshape(before.shape[1], -1)
        found = []
        for step, end in zip(x.unflatten(1, ends.shape).unbind(2), ends.unbind(1), strict=True):
            after = self.cell(step, before)
            found.append(after)
            before = after.masked_fill(end.unsqueeze(-1), 0)
        return torch.stack(found, 2).flatten(1, 2)

    def _fitting(
        self, batch: tuple[int, ...], hidden: Tensor | None, done: Tensor | None
    ) -> Tensor:
        """The hidden states, which must be there and fit to inputs of this batch."""
        if hidden is None:
            raise UsageError(
                f"the hidden states {self.key} of a recurrent network are missing; {CARRY}"
            )
        require_tensor("the hidden states", hidden)
        sequences = batch
        if done is not None:
            require_truth("done", done)
            sequences = batch[:-1]
            found = tuple(done.shape)
            require(found == tuple(batch), f"done has shape {found}, need {tuple(batch)}")
        wanted = (*sequences, *self.sizes)
        found = tuple(hidden.shape)
        require(found == wanted, f"the hidden states have shape {found}, need {wanted}")
        return hidden

    def start(self, *batch: int) -> Tensor:
        """The hidden state at the start of an episode: zeros `[*batch, N, S]`."""
        return self.of_state.weight.new_zeros(*batch, *self.sizes)

    def past(self, tensordict: TensorDictBase) -> dict[str, Tensor]:
        """`hidden` before the first step of sequences `[*C, L]`, and where episodes are `done`.

        Args:
            tensordict: a rollout with the hidden states of its collection, or chunks of it.
        """
        hidden = need(tensordict, self.key, CARRY)
        done = need(tensordict, ENDED, "A recurrent network must know where episodes end")
        batch = tuple(tensordict.batch_size)
        require(
            len(batch) > 1,
            f"the batch {batch} of a recurrent network must be sequences [*C, L]; cut a rollout by "
            "reshape(-1, L) with an L that divides its steps",
        )
        return {"hidden": hidden.select(len(batch) - 1, 0), "done": done.squeeze(-1)}

    def make_tensordict_primer(self) -> TensorDictPrimer:
        """TorchRL's transform that sets the hidden states to 0 where an episode begins."""
        return TensorDictPrimer(self.spec, expand_specs=True)

    @property
    def spec(self) -> Composite:
        """Of the hidden states of one environment, at their key."""
        weight = self.of_state.weight
        states = Unbounded(self.sizes, device=weight.device, dtype=weight.dtype)
        if isinstance(self.key, str):
            return Composite({self.key: states})
        group, name = self.key
        return Composite({group: Composite({name: states}, shape=self.sizes[:1])})


class AgentGRU(AgentMemory):
    """Gated recurrent units (Cho et al., 2014), with the equations of `torch.nn.GRU`.

        r = σ(W_r x + U_r h),  z = σ(W_z x + U_z h),  n = tanh(W_n x + r ∘ U_n h)
        h' = (1 − z) ∘ n + z ∘ h

    The biases are not shown. The hidden state is h, S = H.
    """

    gates = 3
    states = 1

    def cell(self, x: Tensor, state: Tensor) -> Tensor:
        reset, update, new = x.chunk(3, -1)
        of_reset, of_update, of_new = self.of_state(state).chunk(3, -1)
        kept = torch.sigmoid(update + of_update)
        candidate = torch.tanh(new + torch.sigmoid(reset + of_reset) * of_new)
        return candidate + kept * (state - candidate)


class AgentLSTM(AgentMemory):
    """Long short-term memory (Hochreiter & Schmidhuber, 1997), with those of `torch.nn.LSTM`.

        i, f, o = σ(W x + U h),  g = tanh(W_g x + U_g h)
        c' = f ∘ c + i ∘ g,  h' = o ∘ tanh c'

    The biases are not shown. The hidden state is h and c, S = 2 H.
    """

    gates = 4
    states = 2

    def cell(self, x: Tensor, state: Tensor) -> Tensor:
        h, c = state.chunk(2, -1)
        enter, forget, new, leave = (x + self.of_state(h)).chunk(4, -1)
        c = torch.sigmoid(forget) * c + torch.sigmoid(enter) * torch.tanh(new)
        return torch.cat([torch.sigmoid(leave) * torch.tanh(c), c], -1)


CELLS: dict[str, type[AgentMemory]] = {"gru": AgentGRU, "lstm": AgentLSTM}


def memory_of(network: NetworkOptions, n_agents: int, key: NestedKey) -> AgentMemory | None:
    """The memory of a network by its option `recurrent`; None for `none`, or without the option."""
    recurrent = getattr(network, "recurrent", "none")
    if recurrent == "none":
        return None
    return CELLS[recurrent](n_agents, network.hidden, key, share=network.share)


def states_along(
    network: Any, tensordict: TensorDictBase, burn_in: int = 0
) -> tuple[Tensor, Tensor]:
    """A network's hidden states before and after the steps of sequences, `[*C, L − b, N, S]` each.

    They begin at those that were recorded before the first step, and follow the network's present
    parameters from there. Those before a step are 0 where an episode begins; those after it are
    not, also where one ends.

    Args:
        network: with a `memory`, and `in_keys` that begin with what it reads.
        tensordict: sequences `[*C, L]`, see `AgentMemory.past`.
        burn_in: b, steps without gradient, whose hidden states are left out.

    Raises:
        UsageError: the sequences have no step after the burn-in.
    """
    past = network.memory.past(tensordict)
    hidden = past["hidden"]
    done = past["done"]
    steps = done.shape[-1]
    require(
        burn_in < steps,
        f"sequences of {steps} steps have none after burn_in={burn_in}; they must be longer",
    )
    if burn_in:
        with torch.no_grad():
            _, warm = states_along(network, tensordict[..., :burn_in])
        hidden = forgotten(warm, done[..., :burn_in])[..., -1, :, :]
        done = done[..., burn_in:]
    inputs = need(tensordict, network.in_keys[0])[..., burn_in:, :, :]
    after = network.recall(inputs, hidden, done)[1]
    going_on = forgotten(after, done)[..., :-1, :, :]
    return torch.cat([hidden.unsqueeze(-3), going_on], -3), after


def forgotten(states: Tensor, done: Tensor) -> Tensor:
    """Hidden states `[*B, N, S]`, with 0 where an episode ends: done is bool `[*B]`."""
    return states.masked_fill(done[..., None, None], 0)


def memories_of(policy: Any) -> list[AgentMemory]:
    """The memories of a policy; a plain function has none."""
    parts = policy.modules() if isinstance(policy, nn.Module) else ()
    return [part for part in parts if isinstance(part, AgentMemory)]
