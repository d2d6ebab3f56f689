"""`CentralCritic`: the critic of the classical MAPPO, one value for the whole team."""

from collections.abc import Sequence
from typing import Any

from tensordict.nn import TensorDictModule, TensorDictModuleBase
from torch import Tensor

from ilvf.errors import require
from ilvf.modules.agent_nets import AgentMLP, input_normalizer
from ilvf.modules.critics.base import HIDDEN, ValueCritic
from ilvf.modules.groups import group_names
from ilvf.modules.memory import memory_of
from ilvf.modules.options import MLPOptions, ValueOptions
from ilvf.modules.parts import Parts
from ilvf.modules.reader import reader_of
from ilvf.modules.value_norm import ValueNorm, denormalised
from ilvf.options import configure, select
from ilvf.options.arguments import require_names


class CentralCritic(ValueCritic):
    """ONE value of the joint state, for the summed reward:  V(s) = f_V(LN(s)).

    The critic of the classical MAPPO (Yu et al., 2022).

    Args:
        n_agents, state_dim: N and D of `("agents", "state")`.
        parts: the `Image` and the `EntitySet`s in the states; other numbers are read as they are.
        **options: see `ValueOptions`; `share` has no effect on one network.
    """

    def __init__(self, n_agents: int, state_dim: int, *, parts: Parts = None, **options: Any):
        super().__init__(n_agents, state_dim)
        network = configure(ValueOptions, options, "CentralCritic")
        self.normalize = input_normalizer(network.input_norm)
        self.read, width = reader_of("CentralCritic", self.sizes, parts, network)
        memory = memory_of(network, 1, HIDDEN)
        layers = select(network, MLPOptions)
        self.value = AgentMLP(1, n_agents * width, 1, memory=memory, **layers)

    def first_layer(self, state: Tensor) -> Tensor:
        rows = self.read(state)
        joint = self.normalize(rows.flatten(1))  # [B, N·D]
        assert self.value.first is not None
        return self.value.first(joint.unsqueeze(0))

    def value_module(
        self,
        group: str | Sequence[str] = "agents",
        value_key: str = "state_value",
        state_key: str = "state",
        norm: ValueNorm | None = None,
    ) -> TensorDictModuleBase:
        """Reads `(group, state_key)`; writes `value_key` at the root, for the whole team.

        The arguments are those of `Critic.value_module`, with one group.
        """
        name, *more = group_names(group)
        require(not more, f"CentralCritic has one value, not one for each group of {group}")
        require_names("value_module", value_key=value_key, state_key=state_key)
        raw = value_key if norm is None else "normalised_value"
        module = TensorDictModule(
            self, in_keys=[(name, state_key), *self.hidden_keys], out_keys=[raw]
        )
        return module if norm is None else denormalised(module, norm, [raw], [value_key])
