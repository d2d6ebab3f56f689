"""Whose returns the score test tells apart: all agents', or those of each agent's neighbours."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ilvf.credit.sparse import SparseInfluence


@dataclass(frozen=True)
class Columns:
    """The columns of the matrices of N acting agents.

    Attributes:
        n: N.
        neighbours: numbers of the agents whose returns are told apart, the own one first, `[N, K]`;
            None for all.
    """

    n: int
    neighbours: Tensor | None

    @property
    def tested(self) -> int:
        """Returns that are tested one by one: N or K."""
        return self.n if self.neighbours is None else self.neighbours.shape[1]

    @property
    def total(self) -> int:
        """Columns: N, or K + 1, of which the last is the sum of all other agents."""
        return self.n if self.neighbours is None else self.neighbours.shape[1] + 1

    def own(self, like: Tensor) -> Tensor:
        """The column of each agent's own return `[N, 1]`, on the device of `like`."""
        if self.neighbours is None:
            return torch.arange(self.n, device=like.device).unsqueeze(-1)
        return torch.zeros(self.n, 1, dtype=torch.long, device=like.device)

    def start(self, own: bool) -> Tensor:
        """Ŵ of which nothing is known: one's own return, or those of all."""
        if not own:
            return torch.ones(self.n, self.total)
        zeros = torch.zeros(self.n, self.total)
        return zeros.scatter(-1, self.own(zeros), 1)

    def with_all(self, tested: Tensor) -> Tensor:
        """`[..., tested]` → `[..., total]`: 0 for the sum of all others, which is not tested."""
        return F.pad(tested, (0, self.total - self.tested))

    def with_own_one(self, matrix: Tensor) -> Tensor:
        """`[N, C]` with 1 for the own return."""
        return matrix.scatter(-1, self.own(matrix), 1)

    def influence(self, matrix: Tensor) -> Tensor | SparseInfluence:
        """Ŵ of `matrix` `[N, total]`."""
        if self.neighbours is None:
            return matrix
        return SparseInfluence(self.neighbours, matrix[:, :-1], matrix[:, -1])

    def dense(self, matrix: Tensor) -> Tensor:
        """`[N, N]` of `[N, total]`, or of `[N, tested]` with 0 for all others."""
        if self.neighbours is None:
            return matrix
        sparse = self.influence(self.with_all(matrix) if len(matrix.T) == self.tested else matrix)
        assert isinstance(sparse, SparseInfluence)
        return sparse.dense()

    def chunks(self, numbers: int, least: int) -> list[range]:
        """The acting agents, in parts whose moments have about `numbers` numbers.

        Args:
            least: agents of a part.
        """
        rows = max(numbers // self.total**2, least)
        return [range(k, min(k + rows, self.n)) for k in range(0, self.n, rows)]
