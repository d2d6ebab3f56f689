"""What the first layer of a network reads: the numbers as they are, or an image by convolutions.

Axes: `B` rows, `N` agents, `D` numbers of an input, `F` features; of an image `C`, `H`, `W`.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ilvf.errors import require
from ilvf.modules.agent_nets import (
    HIDDEN_GAIN,
    AgentLinear,
    input_normalizer,
    orthogonal,
    state_rows,
)
from ilvf.modules.checks import require_dtype
from ilvf.modules.images import Image, image_of
from ilvf.modules.options import NetworkOptions

KERNEL = 3
Read = Callable[[Tensor], Tensor]  # [*B, N, D] → [B, N, F]


def reader_of(
    of: str,
    sizes: tuple[int, int],
    image: Any,
    network: NetworkOptions,
    *,
    reader: str = "the critic",
    what: str = "states",
) -> tuple[Read, int]:
    """The function from an input `[*B, N, D]` to rows `[B, N, F]`, and F.

    Args:
        of: the class of the network, for messages.
        sizes: (N, D).
        image: the `Image` in the input; None reads the numbers as they are, with F = D.
        network: `hidden`, `share` and `input_norm` are used.
        reader, what: of the network, see `state_rows`.

    Raises:
        UsageError: no `Image`, or one that is larger than the input.
    """
    n_agents, width = sizes
    rows = functools.partial(state_rows, n_agents=n_agents, width=width, reader=reader, what=what)
    found = image_of(image, of)
    if found is None:
        return rows, width
    end = found.begin + found.size
    require(end <= width, f"{of}: the {found} ends at number {end}, but there are {width} {what}")
    images = ImageReader(rows, found, sizes, network)
    return images, images.width


class ImageReader(nn.Module):
    """Reads the image of every agent by convolutions, and the other numbers as they are.

        x_i = [relu(W_i c_i(image_i / largest)), LN(rest_i)]

    c_i are convolutions with ReLU, see `Image`, and x_i has `hidden` features and the rest.

    Args:
        rows: checks and flattens the input: `[*B, N, D]` → `[B, N, D]`.
        image: where it is, and its convolutions.
        sizes: (N, D).
        network: see `reader_of`.

    Attributes:
        width: F.
    """

    def __init__(self, rows: Read, image: Image, sizes: tuple[int, int], network: NetworkOptions):
        super().__init__()
        n_agents, numbers = sizes
        self.rows = rows
        self.image = image
        share = network.share
        pairs = zip(image.depths, image.depths[1:], strict=False)
        self.convolutions = nn.ModuleList(
            AgentConvolution(n_agents, before, after, share=share) for before, after in pairs
        )
        self.features = AgentLinear(n_agents, image.features, network.hidden, share=share)
        self.normalize = input_normalizer(network.input_norm)
        self.rest = numbers - image.size
        self.width = network.hidden + self.rest

    def forward(self, state: Tensor) -> Tensor:
        rows = self.rows(state)
        begin = self.image.begin
        before, numbers, after = rows.split([begin, self.image.size, self.rest - begin], -1)
        x = numbers.unflatten(-1, self.image.shape) / self.image.largest
        if not self.image.channels_first:
            x = x.movedim(-1, -3)
        for convolution in self.convolutions:
            x = convolution(x).relu()
        features = self.features(x.flatten(2).transpose(0, 1)).relu().transpose(0, 1)
        if not self.rest:
            return features
        return torch.cat([features, self.normalize(torch.cat([before, after], -1))], -1)


class AgentConvolution(nn.Module):
    """A 3 × 3 convolution with stride 2 per agent, `[B, N, C, H, W]` → `[B, N, C', ⌈H/2⌉, ⌈W/2⌉]`.

    All agents are one grouped convolution.

    Args:
        n_agents, channels, filters: N, C, C'.
        share: one kernel for all agents, with a bias of each agent.
    """

    def __init__(self, n_agents: int, channels: int, filters: int, *, share: bool = False):
        super().__init__()
        self.n_agents = n_agents
        kernels = 1 if share else n_agents
        matrices = orthogonal(torch.empty(kernels, channels * KERNEL**2, filters), HIDDEN_GAIN)
        weight = matrices.transpose(-1, -2).unflatten(-1, (channels, KERNEL, KERNEL))
        self.weight = nn.Parameter(weight.contiguous())  # [N or 1, C', C, 3, 3]
        self.bias = nn.Parameter(torch.zeros(n_agents, filters, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        require_dtype(x, self.weight, "the image")
        if len(self.weight) == 1:
            y = F.conv2d(x.flatten(0, 1), self.weight[0], stride=2, padding=1)
            return y.unflatten(0, (-1, self.n_agents)) + self.bias
        kernels = self.weight.flatten(0, 1)
        y = F.conv2d(x.flatten(1, 2), kernels, stride=2, padding=1, groups=self.n_agents)
        return y.unflatten(1, (self.n_agents, -1)) + self.bias
