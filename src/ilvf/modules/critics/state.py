"""`StateCritic`: one value per agent from the joint state, for MAPPO, IPPO-C and known graphs."""

from typing import Any

from torch import Tensor

from ilvf.errors import require
from ilvf.modules.agent_nets import AgentLinear, AgentMLP, input_normalizer
from ilvf.modules.critics.attended_first import AttendedFirst
from ilvf.modules.critics.base import HIDDEN, ValueCritic
from ilvf.modules.memory import memory_of
from ilvf.modules.neighbours import gathered, require_neighbours
from ilvf.modules.options import MLPOptions, ValueOptions
from ilvf.modules.parts import Parts
from ilvf.modules.reader import reader_of
from ilvf.options import configure, select
from ilvf.options.arguments import require_flags


class StateCritic(ValueCritic):
    """Every agent's value of the joint state:  V_i(s) = f_V_i(LN(s)).  No attention, no Q.

    MAPPO (Ŵ = 1), IPPO-C (Ŵ = I) and known graphs use it. With `neighbours` the critic of an agent
    sees the states of K agents alone, V_i(s) = f_V_i(LN(concat_k s_{j(i,k)})), so that its cost
    does not grow with the team. With `attended` it chooses the K others that it sees by a learned
    attention, see `AttendedFirst`.

    Args:
        n_agents, state_dim: N and D of `("agents", "state")`.
        shared_first: all critics share the first layer, Σ_j A_j LN(s_j), for large teams.
        parts: the `Image` and the `EntitySet`s in the states; other numbers are read as they are.
        neighbours: j(i, k), numbers of the agents that each critic sees, the own one first, int64
            `[N, K]`; None for all.
        attended: K, of a critic that chooses the others that it sees in every state; None does not.
        **options: see `ValueOptions`.
    """

    neighbours: Tensor | None
    first: AgentLinear | AttendedFirst

    def __init__(
        self,
        n_agents: int,
        state_dim: int,
        *,
        shared_first: bool = False,
        parts: Parts = None,
        neighbours: Tensor | None = None,
        attended: int | None = None,
        **options: Any,
    ):
        super().__init__(n_agents, state_dim)
        require_flags("StateCritic", shared_first=shared_first)
        require_neighbours("StateCritic", neighbours, n_agents)
        few = neighbours is not None or attended is not None
        require(
            not few or not shared_first,
            "StateCritic: shared_first is for critics of all agents; leave out one of them",
        )
        require(
            neighbours is None or attended is None,
            "StateCritic: neighbours are given, attended are chosen; leave out one of them",
        )
        network = configure(ValueOptions, options, "StateCritic")
        memory = memory_of(network, n_agents, HIDDEN)
        layers = select(network, MLPOptions)
        self.shared_first = shared_first
        self.normalize = input_normalizer(network.input_norm)
        self.read, width = reader_of("StateCritic", self.sizes, parts, network)
        self.register_buffer("neighbours", neighbours, persistent=False)  # of the configuration
        if attended is None:
            seen = n_agents if neighbours is None else neighbours.shape[1]
            width = width if shared_first else seen * width
            self.first = AgentLinear(n_agents, width, network.hidden, share=network.share)
        else:
            self.first = AttendedFirst(n_agents, width, attended, network)
        self.value = AgentMLP(n_agents, network.hidden, 1, first=False, memory=memory, **layers)

    @property
    def sees_all(self) -> bool:
        """Does each critic read the states of all agents?"""
        return self.neighbours is None and not isinstance(self.first, AttendedFirst)

    def first_layer(self, state: Tensor) -> Tensor:
        rows = self.read(state)
        if isinstance(self.first, AttendedFirst):
            return self.first(rows)
        if self.shared_first:
            return self.first.total(self.normalize(rows).flatten(1))  # [B, H], one for all critics
        if self.neighbours is not None:
            seen = self.normalize(gathered(rows, self.neighbours).flatten(2))
            return self.first(seen.transpose(0, 1))
        return self.first(self.normalize(rows.flatten(1)))  # [N, B, H]
