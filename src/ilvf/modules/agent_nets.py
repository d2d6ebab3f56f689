"""N small networks, one per agent, computed as one batched matrix product per layer.

Axes: `N` agents, `B` rows (environments × steps), `F` input features, `H` output features.
Inside a network the agent axis comes first, `[N, B, ·]`: a batched matrix product reads this layout
without copying.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ilvf.errors import require, require_choice
from ilvf.modules.actions import Actions, as_actions
from ilvf.modules.checks import require_dtype, require_tensor
from ilvf.modules.options import MLPOptions
from ilvf.options import configure
from ilvf.options.arguments import found_words, require_flags, require_number, require_sizes

ACTIVATIONS = {"relu": torch.relu_, "tanh": torch.tanh_, "elu": F.elu_}
HIDDEN_GAIN = math.sqrt(2)
EPS = 1e-5  # added to the variance in every LayerNorm
LEAST_NORMALIZED = 3  # features that LayerNorm needs
NARROW = 16  # outputs from which on the usual products are fast


def orthogonal(weight: Tensor, gain: float) -> Tensor:
    """Fill `[N, F, H]` with N independent (semi-)orthogonal matrices times `gain`."""
    for matrix in weight:
        nn.init.orthogonal_(matrix, gain)
    return weight


class AgentLinear(nn.Module):
    """A linear layer per agent: y_i = x_i W_i + b_i.

    Input `[N, B, F]`, or `[B, F]` when all agents read the same rows; output `[N, B, H]`.

    Args:
        n_agents, fan_in, fan_out: N, F, H.
        gain: scale of the orthogonal initialisation.
        share: use one W for all agents. The bias stays per agent, which equals a shared layer that
            also reads the agent's one-hot identity.
        bias: add b_i.

    Raises:
        UsageError: a size is below 1.
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
        require_sizes("AgentLinear", n_agents=n_agents, fan_in=fan_in, fan_out=fan_out)
        require_number("AgentLinear", "gain", gain)
        require_flags("AgentLinear", share=share, bias=bias)
        self.n_agents = n_agents
        matrices = torch.empty(1 if share else n_agents, fan_in, fan_out)
        self.weight = nn.Parameter(orthogonal(matrices, gain))
        self.bias = nn.Parameter(torch.zeros(n_agents, 1, fan_out)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return self.apply_to(x, self.weight)

    def apply_to(self, x: Tensor, weight: Tensor) -> Tensor:
        """y_i = x_i W_i + b_i with a given W, such as a transformed `self.weight`."""
        require_tensor("the input of a layer", x)
        found = tuple(x.shape)
        width = weight.shape[-2]
        require(
            found[-1:] == (width,) and (len(found) == 2 or found[:-2] == (self.n_agents,)),
            f"the input of a layer has shape {found}; need [B, {width}] or "
            f"[{self.n_agents}, B, {width}]",
        )
        require_dtype(x, weight)
        if x.ndim == 2:
            x = x.expand(self.n_agents, *x.shape)  # the same rows for every agent, not copied
        if self.bias is not None and is_narrow(x, weight):
            return narrow_product(x, weight.expand(self.n_agents, -1, -1), self.bias)
        if len(weight) == 1:
            y = x @ weight[0]
            return y if self.bias is None else y + self.bias
        return torch.bmm(x, weight) if self.bias is None else torch.baddbmm(self.bias, x, weight)

    def of_columns(self, x: Tensor) -> Tensor:
        """y_i = x_iᵀ W_i + b_i of x `[N, F, B]`, `[N, B, H]`."""
        require_dtype(x, self.weight)
        plain = self.bias is None or torch.is_autocast_enabled(x.device.type)
        if plain or len(self.weight) == 1:  # N gradients of a shared W would be large
            return self(x.mT)
        return ColumnProduct.apply(x, self.weight, self.bias)

    def total(self, x: Tensor) -> Tensor:
        """Σ_i (x_i W_i + b_i) as one product: x `[B, N·F]` → `[B, H]`."""
        y = x @ self.weight.expand(self.n_agents, -1, -1).flatten(0, 1)
        return y if self.bias is None else y + self.bias.sum(0)

    def add_to(self, y: Tensor, x: Tensor) -> Tensor:
        """y_i + x_i W_i as one product, without the bias."""
        if len(self.weight) == 1:
            return y + x @ self.weight[0]
        return torch.baddbmm(y, x, self.weight)


class AgentMLP(nn.Module):
    """A multi-layer perceptron per agent: `depth` hidden layers and a linear output layer.

    Input `[N, B, F]`, or `[B, F]` when all agents read the same rows; output `[N, B, fan_out]`.

    Args:
        n_agents, fan_in, fan_out: N, F, outputs of each network.
        head_gain: scale of the output layer's orthogonal initialisation.
        first: False leaves out the first layer. The caller then computes its pre-activation and
            calls `after_first`.
        memory: an `AgentMemory` of N agents between the hidden layers and the output layer; then
            call `recall`.
        **options: see `MLPOptions`.

    Raises:
        UsageError: a size is below 1, or a memory of another size.
    """

    def __init__(
        self,
        n_agents: int,
        fan_in: int,
        fan_out: int,
        *,
        head_gain: float = 1.0,
        first: bool = True,
        memory: nn.Module | None = None,
        **options: Any,
    ):
        super().__init__()
        require_sizes("AgentMLP", n_agents=n_agents, fan_in=fan_in, fan_out=fan_out)
        require_number("AgentMLP", "head_gain", head_gain)
        require_flags("AgentMLP", first=first)
        layers = configure(MLPOptions, options, "AgentMLP")
        hidden = layers.hidden
        share = layers.share
        require(
            memory is None or getattr(memory, "width", None) == (n_agents, hidden),
            f"AgentMLP: memory must be None, or an AgentMemory of {n_agents} agents and {hidden} "
            f"units, found {found_words(memory)}",
        )
        self.activate = ACTIVATIONS[layers.activation]
        self.hidden_norm = layers.hidden_norm
        self.first = AgentLinear(n_agents, fan_in, hidden, share=share) if first else None
        self.middle = nn.ModuleList(
            AgentLinear(n_agents, hidden, hidden, share=share) for _ in range(layers.depth - 1)
        )
        self.memory = memory
        self.head = AgentLinear(n_agents, hidden, fan_out, gain=head_gain, share=share)

    def forward(self, x: Tensor) -> Tensor:
        assert self.first is not None
        return self.after_first(self.first(x))

    def after_first(self, y: Tensor) -> Tensor:
        """The output of the network, from the pre-activation `[N, B, H]` of its first layer."""
        require(self.memory is None, "this AgentMLP has a memory; call recall with hidden states")
        return self.head(self._hidden(y))

    def recall(
        self,
        y: Tensor,
        batch: tuple[int, ...],
        hidden: Tensor | None = None,
        done: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """`after_first`, and the hidden states after every step; without a memory, None.

        Args:
            y: pre-activation of the first layer, `[N, B, H]`.
            batch: the axes `*B` of the network's inputs `[*B, N, F]`, whose product is B.
            hidden, done: see `AgentMemory.forward`.
        """
        if self.memory is None:
            require(hidden is None, "this network has no memory; leave out the hidden states")
            return self.after_first(y), None
        x, after = self.memory(self._hidden(y), batch, hidden, done)
        return self.head(layer_norm(x) if self.hidden_norm else x), after

    def _hidden(self, y: Tensor) -> Tensor:
        """The features after the hidden layers."""
        y = self._activation(y)
        for layer in self.middle:
            y = self._activation(layer(y))
        return y

    def _activation(self, y: Tensor) -> Tensor:
        y = self.activate(y)
        return layer_norm(y) if self.hidden_norm else y


class LayerProduct(torch.autograd.Function):
    """A product of x and W, plus b, whose gradients have layouts of their own."""

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)


def tangent(
    product: Callable[..., Tensor],
    inputs: tuple[Tensor, Tensor, Tensor],
    tangents: tuple[Tensor | None, ...],
) -> Tensor:
    """The derivative of a `LayerProduct` along the tangents of x, W and b; None is 0."""
    along = [torch.zeros_like(x) if t is None else t for x, t in zip(inputs, tangents, strict=True)]
    (x, weight, bias), (of_x, of_weight, of_bias) = inputs, along
    return product(of_x, weight, of_bias) + product(x, of_weight, torch.zeros_like(bias))


class ColumnProduct(LayerProduct):
    """x_iᵀ W_i + b_i: x `[N, F, B]`, W `[N, F, H]`, b `[N, 1, H]` → `[N, B, H]`.

    The gradient of x has the layout of x, so that what made x is differentiated without copies.
    """

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return torch.baddbmm(bias, x.mT, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight, _ = ctx.saved_tensors
        (of_y,) = gradients
        of_x = torch.bmm(weight, of_y.mT) if ctx.needs_input_grad[0] else None
        return of_x, torch.bmm(x, of_y), of_y.sum(1, keepdim=True)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
        return tangent(ColumnProduct.forward, ctx.saved_tensors, tangents)


class NarrowProduct(LayerProduct):
    """(x_i W_i + b_i)ᵀ with few outputs: x `[N, B, F]`, W `[N, F, H]`, b `[N, 1, H]` → `[N, H, B]`.

    The products of a CPU are fast if their last axis is long. So it is B forwards, and F in the
    gradient of W, instead of H: with H = 5 they take 0.15 to 0.4 times as long.
    """

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return torch.baddbmm(bias.mT, weight.mT, x.mT)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight, _ = ctx.saved_tensors
        (of_y,) = gradients
        outer = torch.mul if weight.shape[-1] == 1 else torch.bmm
        of_x = outer(of_y.mT, weight.mT)
        return of_x, torch.bmm(of_y, x).mT, of_y.sum(-1, keepdim=True).mT

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
        return tangent(NarrowProduct.forward, ctx.saved_tensors, tangents)


def is_narrow(x: Tensor, weight: Tensor) -> bool:
    """Is a `NarrowProduct` faster? One output of a shared W is fast as it is."""
    outputs = weight.shape[-1]
    wide = outputs >= NARROW or outputs == len(weight) == 1
    return x.is_cpu and not wide and not torch.is_autocast_enabled("cpu")


def narrow_product(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x_i W_i + b_i by a `NarrowProduct`, `[N, B, H]`."""
    product = NarrowProduct.apply if torch.is_grad_enabled() else NarrowProduct.forward
    return product(x, weight, bias).mT


def layer_norm(x: Tensor) -> Tensor:
    """LayerNorm over the last axis, without scale and offset: the next linear layer has both.

    Fewer than `LEAST_NORMALIZED` features are returned unchanged: of one number LayerNorm leaves
    nothing, and of two only which is larger.
    """
    if x.shape[-1] < LEAST_NORMALIZED:
        return x
    return F.layer_norm(x, x.shape[-1:], eps=EPS)


def input_normalizer(input_norm: str) -> Callable[[Tensor], Tensor]:
    """The function that normalizes the inputs of a network.

    LayerNorm makes a network independent of the scale of its inputs, and so removes that scale: of
    an observation near a goal only the direction is left. Inputs of `none` should be of order 1.

    Args:
        input_norm: `layer` is LayerNorm (official MAPPO), `none` returns inputs unchanged.
    """
    require_choice("input_norm", input_norm, ("layer", "none"))
    return layer_norm if input_norm == "layer" else nn.Identity()


# ---------------------------------------------------------------------- between [*B, N, ·] and rows
def state_rows(
    state: Tensor,
    n_agents: int,
    width: int,
    reader: str = "the critic",
    what: str = "states",
) -> Tensor:
    """state `[*B, N, D]` → `[B, N, D]`.

    Args:
        n_agents, width: N and D that the network was built for.
        reader, what: the network and its input, for the message.

    Raises:
        UsageError: another N or D, or no floating-point numbers.
    """
    require_tensor("the state", state)
    found = tuple(state.shape)
    require(
        found[-2:] == (n_agents, width),
        f"{reader} was built for {n_agents} agents with {what} of {width} numbers, "
        f"found {found}; need [..., {n_agents}, {width}]",
    )
    require(
        state.is_floating_point(),
        f"{reader} reads floating-point numbers, found {what} of {state.dtype}; use .float()",
    )
    return state.reshape(-1, n_agents, width)


def agents_last(y: Tensor, state: Tensor) -> Tensor:
    """`[N, B, F]` → `[*B, N, F]`, with the batch axes of `state` `[*B, N, D]`."""
    return y.transpose(0, 1).reshape(*state.shape[:-1], y.shape[-1])


def joint_action(action: Tensor, state: Tensor, actions: int | Actions) -> Tensor:
    """The joint action as one vector per row, `[B, N·A]` float.

    Args:
        action: indices `[*B, N]` or `[*B, N, D]`, which become one-hot, or A numbers per agent
            `[*B, N, A]`. Those of a `Box` are scaled to its bounds, others are read as they are.
        state: `[*B, N, D]`.
        actions: A, `Choices`, `MultiChoices`, or a `Box`.

    Raises:
        UsageError: see `Actions.encode`.
    """
    kind = as_actions(actions, "joint_action")
    return kind.encode(action, state).reshape(-1, state.shape[-2] * kind.width)
