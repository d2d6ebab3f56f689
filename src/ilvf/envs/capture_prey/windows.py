"""Windows on the grid of Predator Capture Prey: who is on which of the (2v+1)² cells around."""

import torch
from torch import Tensor

COMPACT_CHANNELS = ("prey", "perception", "action", "outside")
REFERENCE_CHANNELS = ("action", "outside", "prey", "perception")  # after the one-hot index


class Windows:
    """Windows of W = (2v+1)² cells centred on agents of a D×D grid, as `size` numbers each.

    Cells are in row-major order. Counts are the numbers of prey, perception agents and action
    agents on a cell, and whether it is outside of the grid.

    - `compact`, 4·W numbers: W counts for each of `COMPACT_CHANNELS`.
    - `reference`, W·(D²+4) numbers: for each cell its one-hot index (D²; 0 outside of the grid) and
      its counts in the order of `REFERENCE_CHANNELS`.

    Args:
        dim: D.
        vision: v.
        encoding: compact or reference.
        device: device of all tensors.

    Attributes:
        size: numbers of a window.
        channels: place of each count of the first cell.
        cell_of: `[size]`, cell that an entry is about.
        counts: bool `[size]`, True for counts, False for one-hot indices.
    """

    def __init__(self, dim: int, vision: int, encoding: str, device: torch.device):
        self.dim = dim
        self.vision = vision
        self.side = 2 * vision + 1
        self.has_index = encoding == "reference"
        cells = self.side**2
        one_hot = dim**2 if self.has_index else 0
        names = REFERENCE_CHANNELS if self.has_index else COMPACT_CHANNELS
        depth = one_hot + len(names)  # numbers of a cell
        self.size = cells * depth
        entry = torch.arange(self.size, device=device)
        if self.has_index:  # cell by cell
            self._cell_stride = depth
            channel_stride = 1
            self.cell_of = entry // depth
            channel_of = entry % depth
        else:  # channel by channel
            self._cell_stride = 1
            channel_stride = cells
            self.cell_of = entry % cells
            channel_of = entry // cells
        self.channels = {name: (one_hot + k) * channel_stride for k, name in enumerate(names)}
        self.counts = channel_of >= one_hot
        steps = torch.arange(-vision, vision + 1, device=device)
        self._around = torch.cartesian_prod(steps, steps).view(-1, 2)  # [W, 2]
        self._empty = self._empty_windows(device)

    def _empty_windows(self, device: torch.device) -> Tensor:
        """The window of every cell on an empty grid, `[D², size + 1]`.

        The last entry is not part of the window: it collects what is out of sight.
        """
        line = torch.arange(self.dim, device=device)
        center = torch.cartesian_prod(line, line)  # [D², 2]
        cell = center.unsqueeze(1) + self._around  # [D², W, 2]
        inside = ((cell >= 0) & (cell < self.dim)).all(-1)
        first = torch.arange(self.side**2, device=device) * self._cell_stride  # [W]
        entry = first + self.channels["outside"]
        if self.has_index:
            index = cell[..., 0] * self.dim + cell[..., 1]
            entry = torch.where(inside, first + index, entry)
        else:
            entry = torch.where(inside, self.size, entry)
        empty = torch.zeros(self.dim**2, self.size + 1, device=device)
        return empty.scatter_(-1, entry, 1.0)

    def look(self, center: Tensor, other: Tensor, channel: Tensor) -> Tensor:
        """Windows around `center` in which the `other` are counted.

        Args:
            center: (row, column) `[B, I, 2]`, on the grid.
            other: (row, column) `[B, J, 2]`, on the grid.
            channel: entry of `channels` for each of the other, `[J]`.

        Returns:
            `[B, I, size]`.
        """
        row = other[..., 0].unsqueeze(1) - center[..., 0].unsqueeze(2)  # [B, I, J]
        column = other[..., 1].unsqueeze(1) - center[..., 1].unsqueeze(2)
        in_sight = torch.maximum(row.abs(), column.abs()) <= self.vision
        cell = (row + self.vision) * self.side + column + self.vision
        entry = torch.where(in_sight, cell * self._cell_stride + channel, self.size)
        window = self._empty[center[..., 0] * self.dim + center[..., 1]]
        window.scatter_add_(-1, entry, window.new_ones(()).expand_as(entry))
        return window[..., :-1]

    def central(self, radius: int) -> Tensor:
        """bool `[size]`: entries of the central (2·radius+1)² cells; all False if radius < 0."""
        return (self._around.abs().amax(-1) <= radius)[self.cell_of]

    def counts_also_seen_by(self, other: Tensor, center: Tensor) -> Tensor:
        """Counts in the windows around `center` of cells that are in the window of any `other`.

        Args:
            other: `[B, J, 2]`.
            center: `[B, I, 2]`.

        Returns:
            bool `[B, I, size]`.
        """
        cell = (center.unsqueeze(2) + self._around).unsqueeze(2)  # [B, I, 1, W, 2]
        distance = (cell - other[:, None, :, None]).abs().amax(-1)  # [B, I, J, W]
        seen = (distance <= self.vision).any(2)  # [B, I, W]
        return seen[..., self.cell_of] & self.counts
