"""Critics of IPPO and of the classical MAPPO: one agent's own observation, or one value for the team."""

from typing import Any

from tensordict.nn import TensorDictModule
from torch import Tensor, nn

from ilvf.modules.agent_nets import AgentMLP, normaliser
from ilvf.modules.critics.state import require_state


class CentralCritic(nn.Module):
    """V(s) = f_V(LN(s)): ONE value, of the summed reward: the classical MAPPO (Yu et al., 2022).

    Args:
        n_agents, state_dim: N and D of `("agents", "state")`.
        hidden, depth, activation, hidden_norm: see `AgentMLP`; `input_norm`: see `normaliser`.
    """

    def __init__(
        self,
        n_agents: int,
        state_dim: int,
        *,
        hidden: int = 64,
        depth: int = 2,
        input_norm: str = "layer",
        **options: Any,
    ):
        super().__init__()
        self.normalise = normaliser(input_norm)
        self.sizes = (n_agents, state_dim)
        self.value = AgentMLP(1, n_agents * state_dim, 1, hidden=hidden, depth=depth, **options)

    def forward(self, state: Tensor) -> Tensor:
        """state `[*B, N, D]` → V `[*B, 1, 1]`."""
        require_state(state, *self.sizes)
        flat = self.normalise(state.flatten(0, -3).flatten(1))
        return self.value(flat.unsqueeze(0))[0].unsqueeze(-1).unflatten(0, state.shape[:-2])

    def predict(self, state: Tensor, action: Tensor) -> tuple[Tensor, None]:
        return self(state), None

    def value_module(
        self, group: str = "agents", value_key: str = "state_value", state_key: str = "state"
    ) -> TensorDictModule:
        """`(group, state_key)` → `value_key`, at the root: it is the team's."""
        return TensorDictModule(self, in_keys=[(group, state_key)], out_keys=[value_key])
