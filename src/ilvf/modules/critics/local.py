"""`LocalCritic`: the critic of IPPO, every agent's value of its own observation."""

from collections.abc import Sequence
from typing import Any

from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from ilvf.modules.agent_nets import AgentMLP, input_normalizer
from ilvf.modules.critics.base import HIDDEN, ValueCritic
from ilvf.modules.memory import memory_of
from ilvf.modules.options import MLPOptions, ValueOptions
from ilvf.modules.parts import Parts
from ilvf.modules.reader import reader_of
from ilvf.modules.value_norm import ValueNorm
from ilvf.options import configure, select


class LocalCritic(ValueCritic):
    """Every agent's value of what its policy sees:  V_i(o_i) = f_V_i(LN(o_i)).

    IPPO's critic (de Witt et al., 2020).

    Args:
        n_agents, observation_dim: N and Do of `("agents", "observation")`.
        parts: the `Image` and the `EntitySet`s in the observations; see `reader_of`.
        **options: see `ValueOptions`.
    """

    def __init__(self, n_agents: int, observation_dim: int, *, parts: Parts = None, **options: Any):
        super().__init__(n_agents, observation_dim)
        network = configure(ValueOptions, options, "LocalCritic")
        self.normalize = input_normalizer(network.input_norm)
        self.read, width = reader_of("LocalCritic", self.sizes, parts, network)
        memory = memory_of(network, n_agents, HIDDEN)
        layers = select(network, MLPOptions)
        self.value = AgentMLP(n_agents, width, 1, memory=memory, **layers)

    def first_layer(self, state: Tensor) -> Tensor:
        rows = self.normalize(self.read(state))
        assert self.value.first is not None
        return self.value.first(rows.transpose(0, 1))

    def value_module(
        self,
        group: str | Sequence[str] = "agents",
        value_key: str = "state_value",
        state_key: str = "observation",
        norm: ValueNorm | None = None,
    ) -> TensorDictModuleBase:
        """See `Critic.value_module`; reads the observation by default."""
        return super().value_module(group, value_key, state_key, norm)
