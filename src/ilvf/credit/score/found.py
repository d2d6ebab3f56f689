"""The statistics of one rollout, of which every process computes the rows of some agents."""

from dataclasses import dataclass

from torch import Tensor

from ilvf.credit.score.shrinkage import Moments
from ilvf.distributed import sum_over_ranks


@dataclass
class Found:
    """The statistics of one rollout: z `[S, N, N]`, rest `[N]` and the moments."""

    z: Tensor
    rest: Tensor
    moments: Moments

    @classmethod
    def zeros(cls, signals: int, n: int, like: Tensor) -> "Found":
        """Statistics of which nothing is known yet."""
        moments = Moments(like.new_zeros(n, n, n), *(like.new_zeros(n, n) for _ in range(3)))
        return cls(like.new_zeros(signals, n, n), like.new_zeros(n), moments)

    def keep(self, agent: int, z: Tensor, moments: Moments) -> None:
        """Write the rows of an acting agent."""
        self.z[:, agent] = z
        for name, value in vars(moments).items():
            getattr(self.moments, name)[agent] = value

    def over_ranks(self) -> "Found":
        """Every process's rows together."""
        moments = Moments(**{k: sum_over_ranks(v) for k, v in vars(self.moments).items()})
        return Found(sum_over_ranks(self.z), sum_over_ranks(self.rest), moments)
