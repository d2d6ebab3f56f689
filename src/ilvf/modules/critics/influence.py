"""`InfluenceCritic`: V and Q of every agent through a Gumbel attention (Sec. 4.3.1, eq. 7-8).

Axes: `B` rows (environments × steps), `N` agents, `D` state width, `A` actions, `H` hidden units.
"""

from typing import Any

from torch import Tensor

from ilvf.errors import require
from ilvf.modules.actions import Actions, as_actions
from ilvf.modules.agent_nets import (
    AgentMLP,
    agents_last,
    joint_action,
)
from ilvf.modules.attention import GumbelAttention
from ilvf.modules.critics.base import Critic
from ilvf.modules.critics.first_layers import first_layers
from ilvf.modules.critics.neighbour_first import NeighbourFirst
from ilvf.modules.neighbours import require_neighbours
from ilvf.modules.options import AttentionOptions, MLPOptions
from ilvf.modules.parts import Parts
from ilvf.modules.reader import reader_of
from ilvf.options import configure, select
from ilvf.options.arguments import require_flags, require_sizes


class InfluenceCritic(Critic):
    """V and Q of every agent, with an attention that learns whose state matters to whose value.

        h_i       = f_h_i(s)
        V_i(s)    = f_V_i(concat_j w_ij s_j)          w_ij   = sigmoid(h_ij / τ)
        Q_i(s, a) = f_Q_i(Σ_j w^g_ij s_j, a)          w^g_ij = sigmoid((h_ij + g_ij) / τ)

    V reads all states, concatenated and without noise, to be accurate. Q reads their weighted sum,
    with Gumbel noise g: its loss is the auxiliary loss that trains the attention to select the
    states that matter.

    Args:
        n_agents, state_dim: N and D of `("agents", "state")`.
        actions: A, the number of choices, `MultiChoices`, or a `Box` of continuous actions.
        q_depth: hidden layers of Q.
        shared_first: use `SharedFirst` instead of `OwnFirst`, for large teams.
        parts: the `Image` and the `EntitySet`s in the states, of which s_j are then features.
        neighbours: numbers of the K agents to which each critic attends, the own one first, int64
            `[N, K]`: use `NeighbourFirst`. Weights and logits are then `[*B, N, K]` with a row for
            each critic, see `LearnedInfluence(neighbours=)`. None for all agents.
        **options: see `AttentionOptions`; `depth` is that of V, `hidden_norm` is for V and Q.
    """

    attention_keys = ("influence_weight", "attention_logits")

    def __init__(
        self,
        n_agents: int,
        state_dim: int,
        actions: int | Actions,
        *,
        q_depth: int = 1,
        shared_first: bool = False,
        parts: Parts = None,
        neighbours: Tensor | None = None,
        **options: Any,
    ):
        super().__init__(n_agents, state_dim)
        require_sizes("InfluenceCritic", q_depth=q_depth)
        require_flags("InfluenceCritic", shared_first=shared_first)
        require_neighbours("InfluenceCritic", neighbours, n_agents)
        require(
            neighbours is None or not shared_first,
            "InfluenceCritic: shared_first is for critics of all agents; leave out one of them",
        )
        network = configure(AttentionOptions, options, "InfluenceCritic")
        hidden = network.hidden
        layers = select(network, MLPOptions)
        self.actions = as_actions(actions, "InfluenceCritic", n_agents)
        self.read, width = reader_of("InfluenceCritic", self.sizes, parts, network)
        sizes = (n_agents, width, self.actions.width)
        self.first = first_layers(sizes, network, shared_first, neighbours)
        candidates = None if neighbours is None else neighbours.shape[1]
        self.attention = GumbelAttention(
            n_agents,
            width,
            own_first=False,
            candidates=candidates,
            hidden=hidden,
            activation=network.activation,
            share=network.share,
            tau=network.tau,
            initial=network.initial,
        )
        self.value = AgentMLP(n_agents, hidden, 1, first=False, **layers)
        self.action_value = AgentMLP(
            n_agents, hidden, 1, first=False, **{**layers, "depth": q_depth}
        )

    @property
    def neighbours(self) -> Tensor | None:
        """The agents to which each critic attends `[N, K]`; None for all."""
        return self.first.neighbours if isinstance(self.first, NeighbourFirst) else None

    @property
    def sees_all(self) -> bool:
        """Does each critic read the states of all agents?"""
        return self.neighbours is None

    def logits(self, prepared: Tensor) -> Tensor:
        """h `[B, N, N]`, row = critic, of the prepared state `[B, N, D]`."""
        return self.attention.logits.after_first(self.first.logits(prepared)).transpose(0, 1)

    def forward(self, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """V, influence weights wᵀ and logits h of a state.

        Args:
            state: `[*B, N, D]`.

        Returns:
            V `[*B, N, 1]`; wᵀ `[*B, N, N]`, row = acting agent; h `[*B, N, N]`, row = critic.
        """
        prepared = self.first.prepare(self.read(state))
        h = self.logits(prepared)
        w = self.attention.weight(h)
        value = self.value.after_first(self.first.value(prepared, w))
        pairs = (*state.shape[:-1], h.shape[-1])
        if self.neighbours is None:
            w = w.transpose(-1, -2)
        return agents_last(value, state), w.reshape(pairs), h.reshape(pairs)

    def predict(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """V(s) and Q(s, a), `[*B, N, 1]` each, with fresh noise in Q at each call.

        Args:
            state: `[*B, N, D]`.
            action: see `joint_action`.
        """
        value, action_value, _ = self.predict_with_logits(state, action)
        return value, action_value

    def predict_with_logits(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`predict`, and the logits h `[*B, N, N]`, row = critic, that it has used."""
        prepared = self.first.prepare(self.read(state))
        joint = joint_action(action, state, self.actions)
        h = self.logits(prepared)
        y = self.first.value(prepared, self.attention.weight(h))
        value = self.value.after_first(y)
        y = self.first.action_value(prepared, self.attention.sample(h), joint)
        action_value = self.action_value.after_first(y)
        pairs = h.reshape(*state.shape[:-1], h.shape[-1])
        return agents_last(value, state), agents_last(action_value, state), pairs
