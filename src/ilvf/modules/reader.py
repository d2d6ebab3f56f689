"""What the first layer of a network reads: numbers as they are, images by convolutions, and sets.

Axes: `B` rows, `N` agents, `D` numbers of an input, `F` features; of an image `C`, `H`, `W`.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
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
from ilvf.modules.entity_sets import EntitySet
from ilvf.modules.images import Image
from ilvf.modules.options import NetworkOptions
from ilvf.modules.parts import Part, parts_of, require_places
from ilvf.modules.set_reader import SetReader, rest_of

KERNEL = 3
Read = Callable[[Tensor], Tensor]  # [*B, N, D] → [B, N, F]


def reader_of(
    of: str,
    sizes: tuple[int, int],
    parts: Any,
    network: NetworkOptions,
    *,
    reader: str = "the critic",
    what: str = "states",
) -> tuple[Read, int]:
    """The function from an input `[*B, N, D]` to rows `[B, N, F]`, and F.

    Args:
        of: the class of the network, for messages.
        sizes: (N, D).
        parts: see `parts_of`; without any the numbers are read as they are, with F = D.
        network: `hidden`, `share` and `input_norm` are used.
        reader, what: of the network, see `state_rows`.

    Raises:
        UsageError: no parts, parts that are larger than the input or overlap, or two images.
    """
    n_agents, width = sizes
    rows = functools.partial(state_rows, n_agents=n_agents, width=width, reader=reader, what=what)
    found = parts_of(parts, of)
    if not found:
        return rows, width
    require_places(found, width, of, what)
    image = image_among(found, of)
    sets = [part for part in found if isinstance(part, EntitySet)]
    if not sets:
        assert image is not None
        images = ImageReader(rows, image, sizes, network)
        return images, images.width
    inner = reader_of_rest(image, rest_of(sets, width), n_agents, network)
    reading = SetReader(rows, sets, sizes, network, inner)
    return reading, reading.width


def image_among(parts: Sequence[Part], of: str) -> Image | None:
    """The image among the parts of an input, if there is one."""
    images = [part for part in parts if isinstance(part, Image)]
    require(len(images) < 2, f"{of}: parts has {len(images)} images, and can have one")
    return images[0] if images else None


def reader_of_rest(
    image: Image | None, rest: list[int], n_agents: int, network: NetworkOptions
) -> tuple[Read, int]:
    """The function from the numbers outside of sets, `[B, N, R]`, to `[B, N, F]`, and F.

    Args:
        image: where it is in the whole input.
        rest: places of these numbers in the whole input.
    """
    if image is None:
        return input_normalizer(network.input_norm), len(rest)
    moved = replace(image, begin=rest.index(image.begin))
    images = ImageReader(nn.Identity(), moved, (n_agents, len(rest)), network)
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
