"""Gumbel attention: which states does each critic need?  (paper, Sec. 4.3.1, eq. 8)"""

import torch
from torch import Tensor, nn

from ilvf.errors import require, require_choice
from ilvf.modules.agent_nets import AgentMLP, normaliser

INITIAL_BIAS = {
    "random": (0.0, 0.0),
    "identity": (2.0, -2.0),
    "ones": (2.0, 2.0),
}  # (on, off) the diagonal


def gumbel_like(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """g = −log(−log u), u ~ U(0, 1), one for every entry of x."""
    u = torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device)
    return u.log_().neg_().log_().neg_()


def gumbel_sigmoid(logits: Tensor, tau: float, generator: torch.Generator | None = None) -> Tensor:
    """w^g_ij = sigmoid((h_ij + g_ij) / τ), with fresh noise g (eq. 8)."""
    return torch.sigmoid((logits + gumbel_like(logits, generator)) / tau)


class GumbelAttention(nn.Module):
    """h_i = f_h_i(s): from the joint state to one logit per pair (critic i, state j).

        w_ij = sigmoid(h_ij / τ)                    `weight(h)`: noise-free, what V and the measurements use
        w^g_ij = sigmoid((h_ij + g_ij) / τ)         `sample(h)`: with Gumbel noise, what Q uses

    Args:
        n_agents, state_dim: N and D of `("agents", "state")`.
        hidden: units of the one hidden layer of f_h.
        tau: temperature τ > 0; the paper uses 1.
        initial: W before training, `random` (about one half everywhere), `identity` or `ones` (App. D).
        share: one f_h for all critics (each keeps its own biases).
        own_first: False leaves the first layer to the critic (see `SharedFirst`).
        input_norm: `layer` or `none`, see `normaliser`.
    """

    def __init__(
        self,
        n_agents: int,
        state_dim: int,
        *,
        hidden: int = 64,
        tau: float = 1.0,
        initial: str = "random",
        activation: str = "relu",
        share: bool = False,
        own_first: bool = True,
        input_norm: str = "layer",
    ):
        super().__init__()
        require(tau > 0, f"tau={tau}: the temperature must be positive; the paper uses 1")
        require_choice("initial_influence", initial, tuple(INITIAL_BIAS))
        self.tau, self.normalise = tau, normaliser(input_norm)
        self.logits = AgentMLP(
            n_agents,
            n_agents * state_dim,
            n_agents,
            hidden=hidden,
            activation=activation,
            head_gain=0.01,
            share=share,
            first=own_first,
        )
        on, off = INITIAL_BIAS[initial]
        eye = torch.eye(n_agents).unsqueeze(1)
        assert self.logits.head.bias is not None
        with torch.no_grad():
            self.logits.head.bias.copy_(on * eye + off * (1 - eye))

    def forward(self, state: Tensor) -> Tensor:
        """state `[B, N, D]` → h `[B, N, N]`, row = critic, column = state."""
        return self.logits(self.normalise(state.flatten(1))).transpose(0, 1)

    def weight(self, logits: Tensor) -> Tensor:
        return torch.sigmoid(logits / self.tau)

    def sample(self, logits: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return gumbel_sigmoid(logits, self.tau, generator)
