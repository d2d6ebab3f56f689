"""`Mixer`: from every agent's value of its action to the value of the team."""

from torch import Tensor, nn
from torchrl.modules import QMixer, VDNMixer

from ilvf.errors import require_choice
from ilvf.modules.agent_nets import input_normalizer
from ilvf.modules.options import NetworkOptions


class Mixer(nn.Module):
    """The team's value Q_tot(s, q), increasing in every agent's value q_i.

        vdn    Q_tot = Σ_i q_i                                         (Sunehag et al., 2018)
        qmix   Q_tot = |w_2(s)|ᵀ elu(|W_1(s)|ᵀ q + b_1(s)) + V(s)      (Rashid et al., 2018)

    As ∂Q_tot/∂q_i ≥ 0, the agents' greedy actions together maximise Q_tot. The networks are
    TorchRL's `VDNMixer` and `QMixer`.

    Args:
        kind: `qmix` or `vdn`.
        n_agents, state_dim: N and D of `("agents", "state")`.
        embed: units of the mixing network, and of V; qmix only.
        input_norm: normalization of the joint state, see `input_normalizer`; qmix only.

    Raises:
        UsageError: an unknown kind or input_norm.
    """

    def __init__(
        self,
        kind: str,
        n_agents: int,
        state_dim: int,
        *,
        embed: int = 32,
        input_norm: str = NetworkOptions.input_norm,
    ):
        super().__init__()
        self.normalize = input_normalizer(input_norm)
        require_choice("mixer", kind, ("qmix", "vdn"))
        self.needs_state = kind == "qmix"
        if self.needs_state:
            self.net: nn.Module = QMixer((n_agents * state_dim,), embed, n_agents, "cpu")
        else:
            self.net = VDNMixer(n_agents, "cpu")

    def forward(self, value: Tensor, state: Tensor | None = None) -> Tensor:
        """value `[B, N, 1]`, state `[B, N, D]` (None for vdn) → Q_tot `[B, 1]`."""
        if not self.needs_state:
            return self.net(value)
        assert state is not None
        return self.net(value, self.normalize(state.flatten(1)))
