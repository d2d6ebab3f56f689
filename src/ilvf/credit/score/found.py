"""The statistics of one rollout, of which every process computes the rows of some agents."""

from dataclasses import dataclass

from torch import Tensor

from ilvf.credit.score.shrinkage import Moments
from ilvf.distributed import sum_over_ranks


@dataclass
class Found:
    """The statistics of R acting agents in one rollout: z `[S, R, K]`, rest `[R]`, the moments.

    K returns are tested. The moments are of C returns, of which one may be the sum of many.
    """

    z: Tensor
    rest: Tensor
    moments: Moments

    @classmethod
    def zeros(cls, z: tuple[int, int, int], columns: int, like: Tensor) -> "Found":
        """Statistics of which nothing is known yet.

        Args:
            z: S, R, K.
            columns: C.
        """
        rows = z[1]
        others = (like.new_zeros(rows, columns) for _ in range(3))
        moments = Moments(like.new_zeros(rows, columns, columns), *others)
        return cls(like.new_zeros(z), like.new_zeros(rows), moments)

    def keep(self, row: int, z: Tensor, moments: Moments) -> None:
        """Write the row of an acting agent."""
        self.z[:, row] = z
        for name, value in vars(moments).items():
            getattr(self.moments, name)[row] = value

    def over_ranks(self) -> "Found":
        """Every process's rows together."""
        moments = Moments(**{k: sum_over_ranks(v) for k, v in vars(self.moments).items()})
        return Found(sum_over_ranks(self.z), sum_over_ranks(self.rest), moments)
