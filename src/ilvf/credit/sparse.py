"""`SparseInfluence`: an influence matrix of a large team, without its N² entries in every state."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ilvf.errors import require
from ilvf.modules.checks import require_floats, require_tensor
from ilvf.options.arguments import require_flags


@dataclass(frozen=True)
class SparseInfluence:
    """Ŵ as weights of a few candidates of each agent, and one weight for all others.

        Ŵ_ij = v_ik if j is the k-th candidate of i,  else o_i

    Attributes:
        index: numbers of the candidates, K different agents of each, int64 `[N, K]`.
        value: v `[*B, N, K]`, or `[N, K]` for all states.
        outside: o `[N]`, or None for 0.
        by_return: a row belongs to the agent whose return it is, as in a critic's attention, and
            its candidates act:  Ŵ_ji = v_ik. There is no `outside` then.
    """

    index: Tensor
    value: Tensor
    outside: Tensor | None = None
    by_return: bool = False

    def __post_init__(self) -> None:
        require_tensor("the index of a sparse influence", self.index)
        require_floats("the value of a sparse influence", self.value)
        require_flags("SparseInfluence", by_return=self.by_return)
        index = tuple(self.index.shape)
        require(
            self.index.dtype == torch.int64 and len(index) == 2 and self.value.shape[-2:] == index,
            f"SparseInfluence: the index is {self.index.dtype} {index}, the value "
            f"{tuple(self.value.shape)}; need int64 [N, K] and [*B, N, K]",
        )
        if self.outside is None:
            return
        require_floats("outside of a sparse influence", self.outside)
        require(
            not self.by_return and tuple(self.outside.shape) == index[:1],
            f"SparseInfluence: outside is {tuple(self.outside.shape)} with "
            f"by_return={self.by_return}; need {index[:1]} and by_return=False",
        )

    @classmethod
    def of(cls, matrix: Tensor) -> "SparseInfluence":
        """The same matrix `[N, N]`: what is above a row's minimum, and the minimum outside."""
        outside = matrix.amin(-1)
        above = matrix > outside.unsqueeze(-1)
        width = max(int(above.sum(-1).max()), 1)
        index = above.byte().sort(dim=-1, descending=True, stable=True).indices[:, :width]
        return cls(index, matrix.gather(-1, index), outside)

    @classmethod
    def again(cls, index: Tensor, kept: Tensor, *, by_return: bool = False) -> "SparseInfluence":
        """The influence with these candidates of which a rollout has `kept` weights.

        Args:
            index, by_return: see the class.
            kept: what `kept` has returned, or rows of it.
        """
        width = index.shape[1]
        outside = None
        if kept.shape[-1] > width:  # the same in all states
            outside = kept[(0,) * (kept.ndim - 2)][:, -1]
        return cls(index.to(kept.device), kept[..., :width], outside, by_return)

    # ------------------------------------------------------------------ use
    def mixed(self, advantage: Tensor) -> Tensor:
        """Â_i = Σ_j Ŵ_ij A_j of advantages `[*B, N, 1]`, in O(N K) per state.

        Â_i = Σ_k (v_ik − o_i) A_k + o_i Σ_j A_j
        """
        batch = advantage.shape[:-2]
        n = advantage.shape[-2]
        rows = advantage.reshape(-1, n)
        value = self.value.to(rows.dtype)
        value = value.reshape(-1, *self.index.shape) if value.ndim > 2 else value
        by_agent = self._by_return(rows, value) if self.by_return else self._by_acting(rows, value)
        return by_agent.reshape(*batch, n, 1)

    def _by_acting(self, rows: Tensor, value: Tensor) -> Tensor:
        received = rows[:, self.index.flatten()].unflatten(-1, tuple(self.index.shape))
        if self.outside is None:
            return (value * received).sum(-1)
        outside = self.outside.to(rows.dtype)
        near = ((value - outside.unsqueeze(-1)) * received).sum(-1)
        return near + outside * rows.sum(-1, keepdim=True)

    def _by_return(self, rows: Tensor, value: Tensor) -> Tensor:
        given = (value * rows.unsqueeze(-1)).flatten(1)  # [R, N·K]
        total = torch.zeros_like(rows.T)
        return total.index_add_(0, self.index.flatten(), given.T).T

    def to(self, like: Tensor) -> "SparseInfluence":
        """The same on the device of `like`, with weights of its dtype."""
        outside = None if self.outside is None else self.outside.to(like)
        index = self.index.to(like.device)
        return SparseInfluence(index, self.value.to(like), outside, self.by_return)

    def kept(self, like: Tensor) -> Tensor:
        """What a rollout keeps of Ŵ: the candidates' weights `[*B, N, K]`, without a copy.

        With `outside` it is their last column, `[*B, N, K + 1]`. See `again`.

        Args:
            like: advantages `[*B, N, 1]`.
        """
        value = self.value
        if self.outside is not None:
            last = self.outside.to(value.dtype).unsqueeze(-1)
            value = torch.cat([value, last.expand(*value.shape[:-1], 1)], -1)
        return value.expand(*like.shape[:-2], *value.shape[-2:])

    def require_for(self, name: str, like: Tensor) -> None:
        """Raise unless it has weights for the agents of `like` `[*B, N, 1]`, and no others."""
        found = tuple(self.value.shape)
        *batch, n, _ = like.shape
        require(
            found[:-1] in ((*batch, n), (n,)),
            f"{name} has weights {found}, need {(n, 'K')} or {(*batch, n, 'K')}",
        )
        low, high = self.index.aminmax()
        inside = bool((low >= 0) & (high < n))
        require(inside, f"{name} has candidates that are not among {n} agents")

    # ------------------------------------------------------------------ as a matrix
    def mean(self) -> "SparseInfluence":
        """Weights averaged over the batch."""
        value = self.value
        if value.ndim > 2:
            value = value.flatten(0, -3).mean(0)
        return SparseInfluence(self.index, value, self.outside, self.by_return)

    def dense(self) -> Tensor:
        """Ŵ `[*B, N, N]`, row = acting agent: for pictures and small teams."""
        n = len(self.index)
        shape = (*self.value.shape[:-2], n, n)
        matrix = self.value.new_zeros(shape)
        if self.outside is not None:
            matrix = matrix + self.outside.to(self.value.dtype).unsqueeze(-1)
        index = self.index.expand(self.value.shape)
        matrix = matrix.scatter(-1, index, self.value)
        return matrix.transpose(-1, -2) if self.by_return else matrix

    def density(self) -> Tensor:
        """Mean of the entries off the diagonal, over all states."""
        n = len(self.index)
        own = torch.arange(n, device=self.index.device).unsqueeze(-1) == self.index
        weight = self.mean().value.float()
        total = weight.masked_fill(own, 0).sum()
        if self.outside is not None:
            others = n - self.index.shape[1] - 1 + own.sum(-1)
            total = total + (self.outside.float() * others).sum()
        return total / max(n * (n - 1), 1)
