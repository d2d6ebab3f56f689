"""`RunningInfluence`: what the score test has found over all rollouts, and Ŵ from it."""

from collections.abc import Mapping
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor

from ilvf.credit.options import ScoreOptions
from ilvf.credit.score.columns import Columns
from ilvf.credit.score.found import Found
from ilvf.credit.score.outcomes import WINDOWS
from ilvf.credit.score.shrinkage import Moments, channel_weights, to_row_maximum, wiener_weight
from ilvf.credit.sources import InfluenceSource
from ilvf.credit.sparse import SparseInfluence
from ilvf.errors import require
from ilvf.modules.neighbours import require_neighbours

SHARPNESS = 2.0  # slope of the weights in z
OWN_LINK = 0.01  # least weight of one's own return, so that chance does not outweigh it
SIGNALS = len(WINDOWS)


class RunningInfluence(InfluenceSource):
    """Ŵ from running sums of the statistics of rollouts; the base of `ScoreInfluence`.

    The sums are buffers, so that checkpoints have them. An older rollout counts less, by
    `test_memory` in the test and `gradient_memory` in the moments of the gradient.

    Args:
        n_agents: N; None begins the sums with the first rollout.
        neighbours: see `ScoreInfluence`.
        options: of the test and the weights.
    """

    matrix: Tensor
    z_sum: Tensor
    rest_sum: Tensor
    second: Tensor
    signal: Tensor
    aligned: Tensor
    noise: Tensor
    test_count: Tensor
    gradient_count: Tensor
    neighbours: Tensor | None

    def __init__(self, n_agents: int | None, neighbours: Tensor | None, options: ScoreOptions):
        super().__init__()
        self.options = options
        require_neighbours("ScoreInfluence", neighbours, n_agents or 0)
        self.register_buffer("neighbours", neighbours, persistent=False)  # of the configuration
        if n_agents is not None:
            self._allocate(n_agents)

    def _allocate(self, n: int) -> None:
        columns = Columns(n, self.neighbours)
        pairs = (n, columns.total)
        zeros = {
            "z_sum": (SIGNALS, n, columns.tested),
            "rest_sum": (n,),
            "second": (*pairs, columns.total),
            "signal": pairs,
            "aligned": pairs,
            "noise": pairs,
            "test_count": (),
            "gradient_count": (),
        }
        self.register_buffer("matrix", columns.start(self.options.prior == "own"))
        for name, shape in zeros.items():
            self.register_buffer(name, torch.zeros(shape))

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        saved = state_dict.get(f"{prefix}matrix")
        if saved is not None and "matrix" not in self._buffers:
            self._allocate(saved.shape[0])
        super()._load_from_state_dict(state_dict, prefix, *rest)

    @property
    def columns(self) -> Columns:
        """Whose returns are told apart."""
        return Columns(len(self.matrix), self.neighbours)

    @property
    def z(self) -> Tensor:
        """Z `[N, N]`, or `[N, K]`."""
        return self._stouffer(self.z_sum).amax(0)

    @property
    def p(self) -> Tensor:
        """Evidence for each link `[N, C]`; 1 for the own return, 0 for the sum of all others."""
        columns = self.columns
        return columns.with_own_one(columns.with_all(self.detected(self.z)))

    @property
    def residual(self) -> Tensor:
        """q `[N]`: evidence that the sum of all effects without a link helps each agent."""
        return self.detected(self._stouffer(self.rest_sum))

    @property
    def found(self) -> Tensor:
        """Evidence that a return is moved, alone or as one of many: 1 − (1 − p)(1 − q) `[N, N]`."""
        if not self.options.residual:
            return self.p
        return 1 - (1 - self.p) * (1 - self.residual.unsqueeze(-1))

    def _stouffer(self, total: Tensor) -> Tensor:
        return total / self.test_count.sqrt().clamp_min(1)

    def detected(self, z: Tensor) -> Tensor:
        """p of z: the evidence for a link."""
        return torch.sigmoid(SHARPNESS * (z - self.options.evidence))

    def metrics(self) -> dict[str, Tensor]:
        """`influence/links`: share of pairs with p > ½; `influence/residual`: mean of q."""
        if "matrix" not in self._buffers:
            return {}
        n = self.matrix.shape[0]
        links = (self.p > 0.5).sum() - n
        return {
            "influence/links": links / max(n * (n - 1), 1),
            "influence/residual": self.residual.mean(),
        }

    def matrices(self) -> dict[str, Tensor]:
        """Ŵ, p and z, `[N, N]`."""
        if "matrix" not in self._buffers:
            return {}
        found = {"influence Ŵ": self.matrix, "evidence p": self.p, "z of the test": self.z}
        return {title: self.columns.dense(matrix) for title, matrix in found.items()}

    def influence(
        self, tensordict: TensorDictBase, key: NestedKey, like: Tensor
    ) -> Tensor | SparseInfluence:
        """Ŵ, expanded without a copy."""
        n = like.shape[-2]
        self.require_agents(n)
        influence = self.columns.influence(self.matrix.to(like))
        if isinstance(influence, SparseInfluence):
            return influence.to(like)
        return influence.expand(*like.shape[:-1], n)

    def drawn(self, value: Tensor) -> Tensor | SparseInfluence:
        if self.neighbours is None:
            return value
        return SparseInfluence.again(self.neighbours, value)

    def in_states(self, states: TensorDictBase, key: NestedKey) -> tuple[Tensor, Tensor]:
        """(p, Ŵ), the same in all states."""
        require("matrix" in self._buffers, "ScoreInfluence has not seen a rollout; give n_agents=")
        p, influence = (self.columns.dense(matrix) for matrix in (self.p, self.matrix))
        shape = (*states.shape, *p.shape)
        return p.expand(shape), influence.expand(shape)

    def require_agents(self, n: int) -> None:
        """Raise if the sums are of another number of agents; without sums, begin them."""
        if "matrix" not in self._buffers:
            self._allocate(n)
        found = self.matrix.shape[0]
        require(found == n, f"ScoreInfluence is for {found} agents, the advantage has {n}")

    # ------------------------------------------------------------------ a rollout more
    def remember(self, agents: range, found: Found) -> None:
        """Add this rollout to the running sums of some agents."""
        test, gradient = self.options.test_memory, self.options.gradient_memory
        rows = slice(agents.start, agents.stop)
        self.z_sum[:, rows].mul_(test).add_(found.z.nan_to_num(0, 0, 0))
        self.rest_sum[rows].mul_(test).add_(found.rest.nan_to_num(0, 0, 0))
        for name in ("second", "signal", "aligned", "noise"):
            new = getattr(found.moments, name).nan_to_num(0, 0, 0)
            getattr(self, name)[rows].mul_(gradient).add_(new)

    def renew(self) -> None:
        """Count the rollout that all agents remember, and renew Ŵ."""
        self.test_count.mul_(self.options.test_memory**2).add_(1)
        self.gradient_count.mul_(self.options.gradient_memory).add_(1)
        self.matrix = self._weights()

    def _weights(self) -> Tensor:
        """Ŵ from the running sums."""
        p = self.p
        moments = Moments(self.second, self.signal, self.aligned, self.noise)
        averaging = self.options.averaging
        links = p * wiener_weight(self.signal, self.noise, self.gradient_count, averaging)
        own = self.columns.own(links)
        links = links.scatter(-1, own, links.gather(-1, own).clamp_min(OWN_LINK))
        mixed = links
        if self.options.residual:
            q = self.residual.unsqueeze(-1)
            weight = q * channel_weights(moments, links, 1 - p)
            mixed = (1 - q + weight[:, :1]) * links + weight[:, 1:] * (1 - p)
        mixed = to_row_maximum(mixed)
        mixed = torch.where(mixed.amax(-1, keepdim=True) > 0, mixed, 1.0)
        if self.options.prior == "team":
            heard = self.detected(self.z).amax(-1, keepdim=True)
            mixed = heard * mixed + (1 - heard)
        return mixed
