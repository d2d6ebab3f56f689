"""N small networks, one per agent, as one batched matrix product per layer.

Axes: `N` agents, `B` rows (environments × steps), `F` features in, `H` features out. Inside a network the agent comes
first, `[N, B, ·]`, because that is what a batched matrix product multiplies without copying.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ilvf.errors import require, require_choice

ACTIVATIONS = {"relu": torch.relu_, "tanh": torch.tanh_, "elu": F.elu_}
HIDDEN_GAIN = math.sqrt(2)
EPS = 1e-5  # of every LayerNorm


def orthogonal(weight: Tensor, gain: float) -> Tensor:
    """Fill `[N, F, H]` with N independent (semi-)orthogonal matrices times `gain`."""
    for matrix in weight:
        nn.init.orthogonal_(matrix, gain)
    return weight


class AgentLinear(nn.Module):
    """y_i = x_i W_i + b_i for all agents at once.

    x `[N, B, F]`, or `[B, F]` when all agents read the same input → `[N, B, H]`. With `share=True` there is one W; the
    bias stays per agent, which is exactly a shared layer that also reads the agent's one-hot identity.
    """

    def __init__(
        self,
        n_agents: int,
        fan_in: int,
        fan_out: int,
        *,
        gain: float = HIDDEN_GAIN,
        share: bool = False,
        bias: bool = True,
    ):
        super().__init__()
        require(
            min(n_agents, fan_in, fan_out) >= 1,
            f"a layer of {n_agents} agents, {fan_in} → {fan_out}, is empty",
        )
        self.n_agents = n_agents
        self.weight = nn.Parameter(
            orthogonal(torch.empty(1 if share else n_agents, fan_in, fan_out), gain)
        )
        self.bias = nn.Parameter(torch.zeros(n_agents, 1, fan_out)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return self.apply_to(x, self.weight)

    def apply_to(self, x: Tensor, weight: Tensor) -> Tensor:
        """The same map with another W (a transformed `self.weight`, say)."""
        if x.ndim == 2:  # the same rows for every agent: expanded, not copied
            x = x.expand(self.n_agents, *x.shape)
        if len(weight) == 1:
            y = x @ weight[0]
            return y if self.bias is None else y + self.bias
        return torch.bmm(x, weight) if self.bias is None else torch.baddbmm(self.bias, x, weight)

    def total(self, x: Tensor) -> Tensor:
        """Σ_i (x_i W_i + b_i), with x `[B, N·F]`, in one product `[B, H]`."""
        y = x @ self.weight.expand(self.n_agents, -1, -1).flatten(0, 1)
        return y if self.bias is None else y + self.bias.sum(0)

    def add_to(self, y: Tensor, x: Tensor) -> Tensor:
        """y + x_i W_i, in one product."""
        return y + x @ self.weight[0] if len(self.weight) == 1 else torch.baddbmm(y, x, self.weight)


class AgentMLP(nn.Module):
    """`depth` hidden layers of `hidden` units and a linear head, for N agents.

    `forward(x)` runs the whole network; `after_first(y)` takes the pre-activation of the first layer, for callers that
    compute it in a cheaper way (see `critic.py`).

    Args:
        hidden_norm: LayerNorm after every hidden layer, as in the official MAPPO code (off: inputs only).
        head_gain: scale of the last layer's orthogonal initialisation.
        share: one set of weights for all agents, whose identity then enters as a bias.
        first: False leaves out the first layer (the caller owns it).
    """

    def __init__(
        self,
        n_agents: int,
        fan_in: int,
        fan_out: int,
        *,
        hidden: int = 64,
        depth: int = 1,
        activation: str = "relu",
        hidden_norm: bool = False,
        head_gain: float = 1.0,
        share: bool = False,
        first: bool = True,
    ):
        super().__init__()
        require_choice("activation", activation, tuple(ACTIVATIONS))
        require(depth >= 1, f"depth={depth}: a network needs at least one hidden layer")
        self.activate = ACTIVATIONS[activation]
        self.hidden_norm = hidden_norm
        self.first = AgentLinear(n_agents, fan_in, hidden, share=share) if first else None
        self.middle = nn.ModuleList(
            AgentLinear(n_agents, hidden, hidden, share=share) for _ in range(depth - 1)
        )
        self.head = AgentLinear(n_agents, hidden, fan_out, gain=head_gain, share=share)

    def forward(self, x: Tensor) -> Tensor:
        assert self.first is not None
        return self.after_first(self.first(x))

    def after_first(self, y: Tensor) -> Tensor:
        y = self._hidden(y)
        for layer in self.middle:
            y = self._hidden(layer(y))
        return self.head(y)

    def _hidden(self, y: Tensor) -> Tensor:
        y = self.activate(y)
        return F.layer_norm(y, y.shape[-1:], eps=EPS) if self.hidden_norm else y


def normalise(x: Tensor) -> Tensor:
    """LayerNorm of the last axis, without scale and offset: the linear layer that follows has both."""
    return F.layer_norm(x, x.shape[-1:], eps=EPS)


def normaliser(input_norm: str) -> Callable[[Tensor], Tensor]:
    """What networks do with their inputs: `layer` is LayerNorm, `none` leaves them as they are.

    LayerNorm (official MAPPO) frees a network from the scale of its inputs, and takes that scale away from it: of
    observations near a goal only the direction is left. `none` wants numbers of about 1.
    """
    require_choice("input_norm", input_norm, ("layer", "none"))
    return normalise if input_norm == "layer" else nn.Identity()
