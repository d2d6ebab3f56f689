"""The critic of MAPPO, IPPO-C and known graphs: one value per agent, from the joint state."""

from tensordict.nn import TensorDictModule
from torch import Tensor, nn

from ilvf.errors import require
from ilvf.modules.agent_nets import AgentLinear, AgentMLP, normaliser


class StateCritic(nn.Module):
    """V_i(s) = f_V_i(LN(s)): every agent's value from the joint state, without attention and without Q.

    What MAPPO (Ŵ = 1), IPPO-C (Ŵ = I) and known graphs use.

    Args:
        n_agents, state_dim: N and D of `("agents", "state")`.
        hidden, depth: hidden layers of V.
        hidden_norm: LayerNorm after every hidden layer (official MAPPO).
        input_norm: `layer` or `none`, see `normaliser`.
        share: one network for all agents, whose identity enters as a bias.
        shared_first: a first layer shared by all critics, Σ_j A_j LN(s_j): for large teams.
    """

    def __init__(
        self,
        n_agents: int,
        state_dim: int,
        *,
        hidden: int = 64,
        depth: int = 2,
        activation: str = "relu",
        hidden_norm: bool = False,
        input_norm: str = "layer",
        share: bool = False,
        shared_first: bool = False,
    ):
        super().__init__()
        self.shared_first, self.sizes = shared_first, (n_agents, state_dim)
        self.normalise = normaliser(input_norm)
        width = state_dim if shared_first else n_agents * state_dim
        self.first = AgentLinear(n_agents, width, hidden, share=share)
        self.value = AgentMLP(
            n_agents,
            hidden,
            1,
            hidden=hidden,
            depth=depth,
            activation=activation,
            hidden_norm=hidden_norm,
            share=share,
            first=False,
        )

    def forward(self, state: Tensor) -> Tensor:
        """state `[*B, N, D]` → V `[*B, N, 1]`."""
        require_state(state, *self.sizes)
        flat = state.flatten(0, -3)
        if self.shared_first:
            y = self.first.total(
                self.normalise(flat).flatten(1)
            )  # [B, H], the same for all critics
        else:
            y = self.first(self.normalise(flat.flatten(1)))
        return agents_last(self.value.after_first(y), state)

    def predict(self, state: Tensor, action: Tensor) -> tuple[Tensor, None]:
        return self(state), None

    def value_module(
        self, group: str = "agents", value_key: str = "state_value", state_key: str = "state"
    ) -> TensorDictModule:
        """`(group, state_key)` → `(group, value_key)`."""
        return TensorDictModule(self, in_keys=[(group, state_key)], out_keys=[(group, value_key)])


def require_state(state: Tensor, n_agents: int, state_dim: int) -> None:
    found = tuple(state.shape)
    require(
        found[-2:] == (n_agents, state_dim),
        f"the critic was built for {n_agents} agents with states of {state_dim} numbers, found {found}; "
        f"need [..., {n_agents}, {state_dim}]",
    )


def agents_last(y: Tensor, state: Tensor) -> Tensor:
    """`[N, B, 1]` → `[*B, N, 1]`, with the batch axes of `state`."""
    return y.transpose(0, 1).reshape(*state.shape[:-1], y.shape[-1])
