"""Critics: one value per agent, from the joint state (paper, Sec. 4.3.1, eq. 7).

A critic is a module with two methods. `forward(state)` gives V and, where it has attention, its weights;
`predict(state, action)` gives what the loss regresses: V, and Q where there is one. `value_module()` wraps the first
for TensorDicts.
"""

from typing import Any

from tensordict.nn import TensorDictModule
from torch import Tensor, nn

from ilvf.modules.agent_nets import AgentMLP
from ilvf.modules.attention import GumbelAttention
from ilvf.modules.critics.state import agents_last, require_state
from ilvf.modules.first_layers import OwnFirst, SharedFirst, joint_action


class InfluenceCritic(nn.Module):
    """V and Q of every agent, through a Gumbel attention that learns whose states matter to whom (eq. 7-8).

        V_i(s)    = f_V_i(concat_j w_ij s_j)            noise-free weights: accurate
        Q_i(s, a) = f_Q_i(Σ_j w^g_ij s_j, a)            noisy weights and a sum: makes the weights mean something

    Args:
        n_agents, state_dim, n_actions: N and D of `("agents", "state")`, A of the joint action: the number of choices,
            or of the components of a continuous action.
        hidden: units of every layer.
        depth, q_depth: hidden layers of V and of Q (f_h has one).
        tau, initial: of the attention, see `GumbelAttention`.
        hidden_norm: LayerNorm after every hidden layer of V and Q (official MAPPO).
        input_norm: `layer` or `none`, see `normaliser`.
        share: one network for all agents, whose identity enters as a bias.
        shared_first: first layers shared by all critics, see `SharedFirst`: for large teams.
    """

    def __init__(
        self,
        n_agents: int,
        state_dim: int,
        n_actions: int,
        *,
        hidden: int = 64,
        depth: int = 2,
        q_depth: int = 1,
        tau: float = 1.0,
        initial: str = "random",
        activation: str = "relu",
        hidden_norm: bool = False,
        input_norm: str = "layer",
        share: bool = False,
        shared_first: bool = False,
    ):
        super().__init__()
        self.sizes, self.n_actions = (n_agents, state_dim), n_actions
        first = SharedFirst if shared_first else OwnFirst
        self.first = first(
            n_agents, state_dim, n_actions, hidden, share=share, input_norm=input_norm
        )
        self.attention = GumbelAttention(
            n_agents,
            state_dim,
            hidden=hidden,
            tau=tau,
            initial=initial,
            activation=activation,
            share=share,
            own_first=False,
        )
        trunk: dict[str, Any] = dict(
            hidden=hidden, activation=activation, hidden_norm=hidden_norm, share=share, first=False
        )
        self.value = AgentMLP(n_agents, hidden, 1, depth=depth, **trunk)
        self.action_value = AgentMLP(n_agents, hidden, 1, depth=q_depth, **trunk)

    def logits(self, state: Tensor) -> Tensor:
        """h `[B, N, N]` of the prepared state `[B, N, D]`."""
        return self.attention.logits.after_first(self.first.logits(state)).transpose(0, 1)

    def forward(self, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """state `[*B, N, D]` → V `[*B, N, 1]`, influence weight wᵀ `[*B, N, N]` (row = acting agent), logits h."""
        require_state(state, *self.sizes)
        flat = self.first.prepare(state.flatten(0, -3))
        h = self.logits(flat)
        w = self.attention.weight(h)
        value = agents_last(self.value.after_first(self.first.value(flat, w)), state)
        pairs = state.shape[:-1] + h.shape[-1:]
        return value, w.transpose(-1, -2).reshape(pairs), h.reshape(pairs)

    def predict(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """V(s) and Q(s, a), `[*B, N, 1]` each, over one evaluation of the attention; fresh noise at each call."""
        require_state(state, *self.sizes)
        flat, joint = (
            self.first.prepare(state.flatten(0, -3)),
            joint_action(action, state, self.n_actions),
        )
        h = self.logits(flat)
        value = self.value.after_first(self.first.value(flat, self.attention.weight(h)))
        q = self.action_value.after_first(
            self.first.action_value(flat, self.attention.sample(h), joint)
        )
        return agents_last(value, state), agents_last(q, state)

    def value_module(
        self, group: str = "agents", value_key: str = "state_value", state_key: str = "state"
    ) -> TensorDictModule:
        """`(group, state_key)` → `(group, value_key)`, `(group, "influence_weight")`, `(group, "attention_logits")`.

        An environment without `state` is read by `state_key="observation"`.
        """
        out = [(group, value_key), (group, "influence_weight"), (group, "attention_logits")]
        return TensorDictModule(self, in_keys=[(group, state_key)], out_keys=out)
