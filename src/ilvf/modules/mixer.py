"""`Mixer`: from every agent's value of its action to the value of the team."""

from torch import Tensor, nn
from torchrl.modules import QMixer, VDNMixer

from ilvf.errors import require, require_choice
from ilvf.modules.agent_nets import input_normalizer, state_rows
from ilvf.modules.checks import require_dtype, require_floats
from ilvf.modules.options import NetworkOptions
from ilvf.options.arguments import require_sizes


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
        require_sizes("Mixer", n_agents=n_agents, state_dim=state_dim, embed=embed)
        self.normalize = input_normalizer(input_norm)
        require_choice("mixer", kind, ("qmix", "vdn"))
        self.sizes = (n_agents, state_dim)
        self.needs_state = kind == "qmix"
        if self.needs_state:
            self.net: nn.Module = QMixer((n_agents * state_dim,), embed, n_agents, "cpu")
        else:
            self.net = VDNMixer(n_agents, "cpu")

    def forward(self, value: Tensor, state: Tensor | None = None) -> Tensor:
        """value `[B, N, 1]`, state `[B, N, D]` (None for vdn) → Q_tot `[B, 1]`."""
        require_floats("the value", value)
        found = tuple(value.shape)
        wanted = (self.sizes[0], 1)
        require(found[-2:] == wanted, f"the mixer needs values [B, {wanted[0]}, 1], found {found}")
        if not self.needs_state:
            return self.net(value)
        require(state is not None, "the mixer qmix needs the state [B, N, D]; vdn does not")
        assert state is not None
        weight = next(self.net.parameters(), None)  # a functional loss has taken them out
        if weight is not None:
            require_dtype(value, weight)
            require_dtype(state, weight)
        rows = state_rows(state, *self.sizes, "the mixer")
        return self.net(value, self.normalize(rows.flatten(1)))
