"""The critic of IPPO: every agent's value from its own observation."""

from typing import Any

from tensordict.nn import TensorDictModule
from torch import Tensor, nn

from ilvf.modules.agent_nets import AgentMLP, normaliser
from ilvf.modules.critics.state import agents_last, require_state


class LocalCritic(nn.Module):
    """V_i(o_i) = f_V_i(LN(o_i)): IPPO's critic (de Witt et al., 2020), which sees what its policy sees.

    Args:
        n_agents, observation_dim: N and Do of `("agents", "observation")`.
        hidden, depth, activation, hidden_norm, share: see `AgentMLP`; `input_norm`: see `normaliser`.
    """

    def __init__(
        self,
        n_agents: int,
        observation_dim: int,
        *,
        hidden: int = 64,
        depth: int = 2,
        input_norm: str = "layer",
        **options: Any,
    ):
        super().__init__()
        self.normalise = normaliser(input_norm)
        self.sizes = (n_agents, observation_dim)
        self.value = AgentMLP(n_agents, observation_dim, 1, hidden=hidden, depth=depth, **options)

    def forward(self, observation: Tensor) -> Tensor:
        """observation `[*B, N, Do]` → V `[*B, N, 1]`."""
        require_state(observation, *self.sizes)
        rows = self.normalise(observation.flatten(0, -3)).transpose(0, 1)
        return agents_last(self.value(rows), observation)

    def predict(self, observation: Tensor, action: Tensor) -> tuple[Tensor, None]:
        return self(observation), None

    def value_module(
        self, group: str = "agents", value_key: str = "state_value", state_key: str = "observation"
    ) -> TensorDictModule:
        """`(group, state_key)` → `(group, value_key)`."""
        return TensorDictModule(self, in_keys=[(group, state_key)], out_keys=[(group, value_key)])
