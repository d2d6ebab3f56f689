"""Mixers: from every agent's value of its action to the team's."""

from torch import Tensor, nn
from torchrl.modules import QMixer, VDNMixer

from ilvf.errors import require_choice
from ilvf.modules.agent_nets import normaliser


class Mixer(nn.Module):
    """Q_tot(s, q), increasing in every agent's value, so that each agent's greedy action is the team's.

        vdn    Q_tot = Σ_i q_i                                                    (Sunehag et al., 2018)
        qmix   Q_tot = |w_2(s)|ᵀ elu(|W_1(s)|ᵀ q + b_1(s)) + V(s),  ∂Q_tot/∂q_i ≥ 0    (Rashid et al., 2018)

    TorchRL's mixers.

    Args:
        kind: `qmix` or `vdn`.
        n_agents, state_dim: N and D of `("agents", "state")`.
        embed: units of the mixing network, and of V.
        input_norm: of the joint state: `layer` or `none`, see `normaliser`.
    """

    def __init__(
        self,
        kind: str,
        n_agents: int,
        state_dim: int,
        *,
        embed: int = 32,
        input_norm: str = "layer",
    ):
        super().__init__()
        self.normalise = normaliser(input_norm)
        require_choice("mixer", kind, ("qmix", "vdn"))
        self.needs_state = kind == "qmix"
        if self.needs_state:
            self.net: nn.Module = QMixer((n_agents * state_dim,), embed, n_agents, "cpu")
        else:
            self.net = VDNMixer(n_agents, "cpu")

    def forward(self, value: Tensor, state: Tensor | None = None) -> Tensor:
        """value `[B, N, 1]`, state `[B, N, D]` → Q_tot `[B, 1]`."""
        if not self.needs_state:
            return self.net(value)
        assert state is not None
        return self.net(value, self.normalise(state.flatten(1)))
