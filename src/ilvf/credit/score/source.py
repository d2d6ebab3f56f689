"""`ScoreInfluence`: influence found by a score test on the rollout, with Wiener weights."""

import copy
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor

from ilvf.credit.options import ScoreOptions
from ilvf.credit.score.columns import Columns
from ilvf.credit.score.found import Found
from ilvf.credit.score.outcomes import WINDOWS
from ilvf.credit.score.policies import require_actors
from ilvf.credit.score.rollout import Prepared, prepare
from ilvf.credit.score.shrinkage import (
    Moments,
    channel_weights,
    to_row_maximum,
    wiener_weight,
)
from ilvf.credit.score.statistics import (
    largest_mean,
    largest_statistic,
    pair_test,
    score_test,
)
from ilvf.credit.sources import AgentSignals, InfluenceSource
from ilvf.credit.sparse import SparseInfluence
from ilvf.distributed import number_of_ranks, rank
from ilvf.errors import require
from ilvf.modules.neighbours import require_neighbours
from ilvf.options import configure
from ilvf.options.arguments import require_sizes

SHARPNESS = 2.0  # slope of the weights in z
OWN_LINK = 0.01  # least weight of one's own return, so that chance does not outweigh it
SIGNALS = len(WINDOWS)
CHUNK = 2**24  # numbers in the moments of the agents that are studied together
STRANGE_MEAN = 8.0  # standard errors of a mean score; samples of the policy have mean zero


class ScoreInfluence(InfluenceSource):
    """Who moves whom, asked from the rollout itself: does a_i carry information about r_j?

    The score s_i = ∂ log π_i(a_i | o_i) has mean zero in every state. If a_i does not move what
    agent j receives from then on, then for any features φ of o_i and any function x of j's future

        E[s_i ⊗ φ(o_i) x_j] = 0

    `score_test` tests this for every pair after every rollout; Stouffer's sum Z over rollouts
    gives p_ij = sigmoid(2 (Z_ij − 4.5)). A Wiener weight lowers links that are too weak to help
    the gradient. Many effects too weak to be found one by one are tested as a sum (`residual`).

        Ŵ_i = c_1 ℓ_i + c_2 (1 − p_i),   ℓ_ij = p_ij K ρ_ij / (1 + K ρ_ij),   row maximum 1

    It needs no critic, and learns nothing but running sums, which are buffers. One matrix a
    rollout: it does not depend on the state. Over several processes all rollouts are gathered, and
    each process tests a part of the agents.

    Args:
        actor: the policy that collected: a `CategoricalActor`, a `GaussianActor` or a TorchRL
            `ProbabilisticActor`; for several groups a list, in the order of
            `ILVFAdvantage(group=[...])`.
        n_agents: N, over all groups. None takes it from the actor or the first rollout.
        neighbours: numbers of the agents whose returns are told apart for each acting agent, the
            own one first, int64 `[N, K]`, as `ilvf.envs.nearest.nearest_agents` gives. All others
            count as one sum, whose weight is the same for each of them. Time and memory are then
            O(N K) instead of O(N²) and O(N³). None tells all agents apart.
        **options: see `ScoreOptions`.

    Attributes:
        matrix: Ŵ `[N, N]`, row = acting agent. With `neighbours` `[N, K + 1]`, and so is p: a
            column for each neighbour, and one for all others.
        z: Stouffer's sum, the largest over the signals, `[N, N]`, with `neighbours` `[N, K]`.
        p: probability-like evidence for each link `[N, N]`, 1 for the own one.

    Call `ILVFAdvantage` once on each rollout, before the actor is trained on it: the actions must
    be samples of the actor's present policy. A second call counts the same evidence again;
    `redraw=False` does not.

    The actor is not part of the state: `state_dict()` has the running sums alone. `copy.deepcopy`
    copies the sums, and the copy reads the same actor, which collects for both. A copied loss has a
    copied actor, and the copied influence in it reads that one.

    Raises:
        UsageError: an actor without a distribution, or another number of agents.
    """

    observes = True
    checked = True
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

    def __init__(
        self,
        actor: Any | Sequence[Any],
        n_agents: int | None = None,
        *,
        neighbours: Tensor | None = None,
        **options: Any,
    ):
        super().__init__()
        self.options = configure(ScoreOptions, options, "ScoreInfluence")
        actors = tuple(actor) if isinstance(actor, list | tuple) else (actor,)
        require_actors(actors)
        self.__dict__["actors"] = actors  # not submodules: the policy is not part of the credit
        self.warned_of_few = False
        self.checked_sampling = False
        if n_agents is None and len(actors) == 1:
            n_agents = getattr(actors[0], "arguments", {}).get("n_agents")
        if n_agents is None and isinstance(neighbours, Tensor) and neighbours.ndim:
            n_agents = len(neighbours)
        if n_agents is not None:
            require_sizes("ScoreInfluence", n_agents=n_agents)
        require_neighbours("ScoreInfluence", neighbours, n_agents or 0)
        self.register_buffer("neighbours", neighbours, persistent=False)  # of the configuration
        if n_agents is not None:
            self._allocate(n_agents)

    actors: tuple[Any, ...]

    def __deepcopy__(self, memo: dict[int, Any]) -> "ScoreInfluence":
        """A copy that reads the same actors, or their copies if `memo` has them already."""
        actors = tuple(memo.get(id(actor), actor) for actor in self.actors)
        state = {name: value for name, value in vars(self).items() if name != "actors"}
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        new.__setstate__(copy.deepcopy(state, memo))
        new.__dict__["actors"] = actors
        return new

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

    # ------------------------------------------------------------------ what has been found
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
        return columns.with_own_one(columns.with_all(self._detected(self.z)))

    @property
    def residual(self) -> Tensor:
        """q `[N]`: evidence that the sum of all effects without a link helps each agent."""
        return self._detected(self._stouffer(self.rest_sum))

    @property
    def found(self) -> Tensor:
        """Evidence that a return is moved, alone or as one of many: 1 − (1 − p)(1 − q) `[N, N]`."""
        if not self.options.residual:
            return self.p
        return 1 - (1 - self.p) * (1 - self.residual.unsqueeze(-1))

    def _stouffer(self, total: Tensor) -> Tensor:
        return total / self.test_count.sqrt().clamp_min(1)

    def _detected(self, z: Tensor) -> Tensor:
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
        self._require_agents(n)
        influence = self.columns.influence(self.matrix.to(like))
        if isinstance(influence, SparseInfluence):
            return influence.to(like)
        return influence.expand(*like.shape[:-1], n)

    def drawn(self, value: Tensor) -> Tensor | SparseInfluence:
        return value if self.neighbours is None else self.columns.influence(self.matrix)

    def in_states(self, states: TensorDictBase, key: NestedKey) -> tuple[Tensor, Tensor]:
        """(p, Ŵ), the same in all states."""
        require("matrix" in self._buffers, "ScoreInfluence has not seen a rollout; give n_agents=")
        p, influence = (self.columns.dense(matrix) for matrix in (self.p, self.matrix))
        shape = (*states.shape, *p.shape)
        return p.expand(shape), influence.expand(shape)

    def _require_agents(self, n: int) -> None:
        if "matrix" not in self._buffers:
            self._allocate(n)
        found = self.matrix.shape[0]
        require(found == n, f"ScoreInfluence is for {found} agents, the advantage has {n}")

    # ------------------------------------------------------------------ a rollout
    @torch.no_grad()
    def observe(self, rollout: TensorDictBase, signals: AgentSignals) -> None:
        """Test every pair on this rollout, and renew Ŵ."""
        self._require_agents(signals.advantage.shape[-2])
        self.to(signals.advantage.device)
        data = prepare(self.actors, rollout, signals, self.options, self.neighbours)
        self._warn_of_few(len(data.score))
        self._check_sampling(data.score)
        if len(data.score) < 2:  # products of different units are needed
            return
        for agents in self.columns.chunks(CHUNK, least=number_of_ranks()):
            self._remember(agents, self._study(data, agents))
        self.test_count.mul_(self.options.test_memory**2).add_(1)
        self.gradient_count.mul_(self.options.gradient_memory).add_(1)
        self.matrix = self._weights()

    def _warn_of_few(self, units: int) -> None:
        possible = largest_statistic(units)
        if possible >= self.options.evidence or self.warned_of_few:
            return
        self.warned_of_few = True
        warnings.warn(
            f"a rollout has {units} units (environments × time blocks): z is at most "
            f"{possible:.1f}, so no link can be found in one rollout; use more environments or "
            "longer rollouts",
            stacklevel=2,
        )

    def _check_sampling(self, score: Tensor) -> None:
        """Warn, at the first rollout, if the actions are no samples of the actor's policy."""
        if self.checked_sampling:
            return
        self.checked_sampling = True
        if largest_mean(score) > STRANGE_MEAN:
            warnings.warn(
                "the actions do not look like samples of the actor's present policy, on which the "
                "score test rests: collect with ExplorationType.RANDOM, and call ILVFAdvantage "
                "before the actor is trained",
                stacklevel=2,
            )

    def _study(self, data: Prepared, agents: range) -> Found:
        """The statistics of some agents; every process computes a part of them."""
        columns = self.columns
        found = Found.zeros((SIGNALS, len(agents), columns.tested), columns.total, self.matrix)
        count = self.options.test_memory**2 * self.test_count + 1
        own = columns.own(self.matrix)
        for row in range(rank(), len(agents), number_of_ranks()):
            agent = agents[row]
            z = score_test(data.test_score(agent), data.outcome_for(agent)).view(SIGNALS, -1)
            parts = data.gradient_parts(agent)
            found.keep(row, z, Moments.of(parts[:, :-1], parts[:, -1]))
            total = self.options.test_memory * self.z_sum[:, agent] + z
            p = self._detected((total / count.sqrt()).amax(0))
            unseen = (1 - columns.with_all(p)).scatter(-1, own[agent], 0)
            found.rest[row] = pair_test(unseen.unsqueeze(0) @ parts[:, :-1])[0]
        return found.over_ranks()

    def _remember(self, agents: range, found: Found) -> None:
        """Add this rollout to the running sums of some agents."""
        test, gradient = self.options.test_memory, self.options.gradient_memory
        rows = slice(agents.start, agents.stop)
        self.z_sum[:, rows].mul_(test).add_(found.z.nan_to_num(0, 0, 0))
        self.rest_sum[rows].mul_(test).add_(found.rest.nan_to_num(0, 0, 0))
        for name in ("second", "signal", "aligned", "noise"):
            new = getattr(found.moments, name).nan_to_num(0, 0, 0)
            getattr(self, name)[rows].mul_(gradient).add_(new)

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
            heard = self._detected(self.z).amax(-1, keepdim=True)
            mixed = heard * mixed + (1 - heard)
        return mixed
