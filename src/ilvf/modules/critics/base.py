"""`Critic`: the interface of the critics that estimate V, and the bases of two kinds of them."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from tensordict import TensorDictBase
from tensordict.nn import TensorDictModule, TensorDictModuleBase
from tensordict.utils import NestedKey
from torch import Tensor, nn

from ilvf.errors import require
from ilvf.modules.agent_nets import AgentMLP
from ilvf.modules.attention import GumbelAttention
from ilvf.modules.groups import OfGroups, group_names
from ilvf.modules.value_norm import ValueNorm, denormalised
from ilvf.options.arguments import require_names, require_sizes

HIDDEN = "critic_hidden"  # key of the hidden states of critics with memory


class Critic(nn.Module):
    """Base of the critics that estimate V.

        forward(state)            V, and with attention also the weights and the logits
        predict(state, action)    (V, Q), which losses regress; Q is None where there is none
        value_module()            `forward` as a TensorDictModule

    A loss accepts any module with `predict`.

    Args:
        n_agents, state_dim: N and D of the states that it reads.
    """

    attention_keys: tuple[str, ...] = ()  # what `forward` returns after V
    memory: Any = None  # an `AgentMemory` of critics that have one

    def __init__(self, n_agents: int, state_dim: int):
        super().__init__()
        require_sizes(type(self).__name__, n_agents=n_agents, state_dim=state_dim)
        self.sizes = (n_agents, state_dim)

    def predict(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor | None]:
        """V(s) `[*B, N, 1]`, and no Q."""
        return self(state), None

    def value_module(
        self,
        group: str | Sequence[str] = "agents",
        value_key: str = "state_value",
        state_key: str = "state",
        norm: ValueNorm | None = None,
    ) -> TensorDictModuleBase:
        """`forward` as a TensorDictModule.

        Args:
            group: it reads `(group, state_key)` and writes `(group, value_key)`; critics with
                attention also write `(group, "influence_weight")` and
                `(group, "attention_logits")`. Several groups are one team of N agents: it reads the
                states of all, padded to D, and writes what the attention gives at the root.
            value_key: name of the value.
            state_key: name of the state; "observation" for an environment without states.
            norm: the critic's outputs are normalised values, `(group, "normalised_value")`; the
                value is in reward units. None takes the outputs as the value.
        """
        groups = group_names(group)
        require_names("value_module", value_key=value_key, state_key=state_key)
        require(
            self.memory is None or len(groups) == 1,
            f"a recurrent {type(self).__name__} is for one group of agents, found {list(groups)}",
        )
        home = groups if len(groups) == 1 else ()
        network = self if len(groups) == 1 else OfGroups(self)
        values = [(name, value_key) for name in groups]
        raw = values if norm is None else [(name, "normalised_value") for name in groups]
        module = TensorDictModule(
            network,
            in_keys=[*((name, state_key) for name in groups), *self.hidden_keys],
            out_keys=[*raw, *(_key(*home, key) for key in self.attention_keys)],
        )
        return module if norm is None else denormalised(module, norm, raw, values)

    @property
    def hidden_keys(self) -> list[NestedKey]:
        """Where `value_module` reads hidden states; empty without a memory."""
        return [] if self.memory is None else [self.memory.key]


def _key(*names: str) -> Any:
    """A nested key, or a name at the root."""
    return names if len(names) > 1 else names[0]


class AttentionCritic(Critic):
    """Base of the critics with V, Q and a Gumbel attention, whose Q reads noisy weights.

    Attributes:
        attention: whose weights V and the metrics read, and whose noisy weights Q reads.
    """

    attention_keys = ("influence_weight", "attention_logits")
    attention: GumbelAttention

    def predict(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """V(s) and Q(s, a), `[*B, N, 1]` each, with fresh noise in Q at each call.

        Args:
            state: `[*B, N, D]`.
            action: see `joint_action`.
        """
        value, action_value, _ = self.predict_with_logits(state, action)
        return value, action_value

    @abstractmethod
    def predict_with_logits(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`predict`, and the logits h `[*B, N, N]`, row = critic, that it has used."""

    @abstractmethod
    def value_given(self, state: Tensor, weight: Tensor) -> Tensor:
        """V `[*B, N, 1]` of states with given weights wᵀ `[*B, N, N]`, row = acting agent."""


class ValueCritic(Critic):
    """Base of the critics that are one `AgentMLP` on a first layer, which can have a memory.

    Attributes:
        value: the network; with a memory its hidden states are at `"critic_hidden"`.
    """

    value: AgentMLP

    @property
    def memory(self) -> Any:  # type: ignore[override]
        """The network's `AgentMemory`, or None."""
        return self.value.memory

    @abstractmethod
    def first_layer(self, state: Tensor) -> Tensor:
        """The pre-activation `[N, B, H]` of the first layer."""

    def memory_module(self, group: str = "agents", state_key: str = "state") -> "Remembering":
        """What writes the hidden states after a step; it belongs to the policy that collects.

            policy = TensorDictSequential(actor, critic.memory_module())

        Args:
            group, state_key: as in `value_module`.

        Raises:
            UsageError: the critic has no memory.
        """
        name = type(self).__name__
        require(self.memory is not None, f"this {name} has no memory; give it recurrent='gru'")
        require_names("memory_module", group=group, state_key=state_key)
        return Remembering(self, (group, state_key))

    def forward(self, state: Tensor, hidden: Tensor | None = None) -> Tensor:
        """V `[*B, N, 1]` of states `[*B, N, D]`, each with its own hidden state, if any."""
        return self.recall(state, hidden)[0]

    def recall(
        self, state: Tensor, hidden: Tensor | None = None, done: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """V, and the hidden states after every step; see `NetworkActor.recall`."""
        first = self.first_layer(state)  # checks the state
        batch = state.shape[:-2]
        value, after = self.value.recall(first, batch, hidden, done)
        return value.transpose(0, 1).reshape(*batch, -1, 1), after

    def predict(
        self,
        state: Tensor,
        action: Tensor,
        hidden: Tensor | None = None,
        done: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """V of states, or with `done` of sequences, see `NetworkActor.recall`; and no Q."""
        return self.recall(state, hidden, done)[0], None


class Remembering(TensorDictModuleBase):
    """Writes the hidden states of a critic after a step, for a policy that collects.

    Args:
        critic: with a memory.
        state_key: of what the critic reads.
    """

    def __init__(self, critic: ValueCritic, state_key: NestedKey):
        super().__init__()
        self.critic = critic
        self.in_keys = [state_key, *critic.hidden_keys]
        self.out_keys = [("next", HIDDEN)]

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        after = self.critic.recall(*(tensordict.get(key) for key in self.in_keys))[1]
        return tensordict.set(self.out_keys[0], after)
