"""What an agent of Predator Capture Prey sees of the grid: who stands where in the (2v+1)² cells around it."""

import torch
from torch import Tensor

PLANES = ("prey", "perception", "action", "outside")  # of encoding="compact"
CHANNELS = (
    "action",
    "outside",
    "prey",
    "perception",
)  # of encoding="reference", after the one-hot index of the cell


class Windows:
    """Windows of W = (2v+1)² cells, read row by row, centred on agents of a D×D grid; as `size` numbers each.

    `compact`, 4·W numbers: a plane of W counts each for prey, perception and action agents, and one that is 1 outside
    of the grid. `reference`, W·(D²+4): cell by cell, its one-hot index (D²), action agents, outside, prey, perception.

    Args:
        dim, vision: D and v.
        encoding: compact or reference.
    """

    def __init__(self, dim: int, vision: int, encoding: str, device: torch.device):
        self.dim, self.vision, self.side = dim, vision, 2 * vision + 1
        cells, index = self.side**2, encoding == "reference"  # index: cells say which they are
        names, one_hot = (CHANNELS, dim**2) if index else (PLANES, 0)
        depth = one_hot + len(names)
        self.size = cells * depth
        self._cell_step, step = (depth, 1) if index else (1, cells)
        self.channels = {name: (one_hot + k) * step for k, name in enumerate(names)}
        entry = torch.arange(self.size, device=device)
        self.cell_of = entry // depth if index else entry % cells  # [size]
        self.counts = (
            entry % depth if index else entry // cells
        ) >= one_hot  # [size]: all but the one-hot index
        steps = torch.arange(-vision, vision + 1, device=device)
        self._around = torch.cartesian_prod(steps, steps).view(-1, 2)  # [W, 2]
        self._empty = self._empty_grid(index, device)

    def _empty_grid(self, index: bool, device: torch.device) -> Tensor:
        """What every cell sees of an empty grid, `[D², size + 1]`; the last entry is for what is out of sight."""
        grid = torch.cartesian_prod(*[torch.arange(self.dim, device=device)] * 2)  # [D², 2]
        cell = grid.unsqueeze(1) + self._around  # [D², W, 2]
        inside = ((cell >= 0) & (cell < self.dim)).all(-1)
        channel = torch.where(
            inside, cell[..., 0] * self.dim + cell[..., 1], self.channels["outside"]
        )
        entry = torch.arange(self.side**2, device=device) * self._cell_step + channel
        entry = entry if index else entry.masked_fill(inside, self.size)
        empty = torch.zeros(self.dim**2, self.size + 1, device=device)
        return empty.scatter_(-1, entry, 1.0)

    def look(self, center: Tensor, other: Tensor, channel: Tensor) -> Tensor:
        """Windows `[B, I, size]` around center `[B, I, 2]`, with `other` `[B, J, 2]` counted in their channels `[J]`.

        center, other: row and column, both on the grid; channel: entries of `channels`.
        """
        pairs = zip(other.unbind(-1), center.unbind(-1), strict=True)
        row, column = (theirs.unsqueeze(1) - own.unsqueeze(2) for theirs, own in pairs)
        seen = torch.maximum(row.abs(), column.abs()) <= self.vision  # [B, I, J]
        entry = ((row + self.vision) * self.side + column + self.vision) * self._cell_step + channel
        window = self._empty[center[..., 0] * self.dim + center[..., 1]]
        window.scatter_add_(
            -1, torch.where(seen, entry, self.size), window.new_ones(()).expand_as(entry)
        )
        return window[..., :-1]

    def central(self, radius: int) -> Tensor:
        """bool `[size]`: entries of the central (2·radius+1)² cells; none if the radius is negative."""
        return (self._around.abs().amax(-1) <= radius)[self.cell_of]

    def also_seen_by(self, other: Tensor, center: Tensor) -> Tensor:
        """bool `[B, I, size]`: the counts of those cells that are in the window of any `other` `[B, J, 2]`, too."""
        cell = (center.unsqueeze(2) + self._around).unsqueeze(2)  # [B, I, 1, W, 2]
        seen = ((cell - other[:, None, :, None]).abs().amax(-1) <= self.vision).any(2)  # [B, I, W]
        return seen[..., self.cell_of] & self.counts


class Sight:
    """What every agent sees of the grid: the window of its role, with what it is blind to taken out.

    Perception agents see all of their window. Action agents see none of the counts (`action_vision=-1`), or only the
    central (2·action_vision+1)² cells. What is taken out is 0 in the compact encoding and −1 in the reference's.

    Args:
        windows: the layout.
        n_perception, n_action, n_prey: P, A, K; the agents are P perception agents, then A action agents.
        leak: what blind action agents have in their windows is −1 in everybody's (compact: in that of those who see).
    """

    def __init__(
        self,
        windows: Windows,
        n_perception: int,
        n_action: int,
        n_prey: int,
        *,
        action_vision: int,
        leak: bool,
    ):
        self.windows, self.n_perception, self.leak = windows, n_perception, leak
        seen = windows.central(action_vision) if action_vision >= 0 else ~windows.counts
        whole = torch.ones_like(seen)
        self.visible = torch.cat(
            [whole.expand(n_perception, -1), seen.expand(n_action, -1)]
        )  # [N, size]
        roles = ["perception"] * n_perception + ["action"] * n_action + ["prey"] * n_prey
        self._channel = torch.tensor([windows.channels[role] for role in roles], device=seen.device)
        self.rows = int(self.visible.any(-1).sum())  # the first agents, the others see nothing
        self._all_of_it = bool(self.visible[: self.rows].all())

    def __call__(self, position: Tensor, prey: Tensor, hidden: float) -> Tensor:
        """`[B, rows, size]` from position `[B, N, 2]` and prey `[B, K, 2]`, with the number for what is taken out."""
        center = position[:, : self.rows]
        window = self.windows.look(center, torch.cat([position, prey], 1), self._channel)
        if self.leak:
            window = window.masked_fill(
                self.windows.also_seen_by(position[:, self.n_perception :], center), -1.0
            )
        return window if self._all_of_it else window.where(self.visible[: self.rows], hidden)
