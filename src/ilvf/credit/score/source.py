"""`ScoreInfluence`: influence found by a score test on the rollout, with Wiener weights."""

import copy
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from tensordict import TensorDictBase
from torch import Tensor

from ilvf.credit.options import ScoreOptions
from ilvf.credit.score.found import Found
from ilvf.credit.score.policies import require_actors
from ilvf.credit.score.rollout import Prepared, prepare
from ilvf.credit.score.running import SIGNALS, RunningInfluence
from ilvf.credit.score.shrinkage import Moments
from ilvf.credit.score.statistics import largest_mean, largest_statistic, pair_test, score_test
from ilvf.credit.sources import AgentSignals
from ilvf.distributed import number_of_ranks, rank
from ilvf.options import configure
from ilvf.options.arguments import require_sizes

CHUNK = 2**24  # numbers in the moments of the agents that are studied together
STRANGE_MEAN = 8.0  # standard errors of a mean score; samples of the policy have mean zero


class ScoreInfluence(RunningInfluence):
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
    copies the sums, and the copy reads the same actor, which collects for both. Where the actor is
    copied with it, as in a copied `PPOLoss`, the copied influence reads the copied actor.

    Raises:
        UsageError: an actor without a distribution, or another number of agents.
    """

    observes = True
    checked = True
    actors: tuple[Any, ...]

    def __init__(
        self,
        actor: Any | Sequence[Any],
        n_agents: int | None = None,
        *,
        neighbours: Tensor | None = None,
        **options: Any,
    ):
        settings = configure(ScoreOptions, options, "ScoreInfluence")
        actors = tuple(actor) if isinstance(actor, list | tuple) else (actor,)
        require_actors(actors)
        if n_agents is None and len(actors) == 1:
            n_agents = getattr(actors[0], "arguments", {}).get("n_agents")
        if n_agents is None and isinstance(neighbours, Tensor) and neighbours.ndim:
            n_agents = len(neighbours)
        if n_agents is not None:
            require_sizes("ScoreInfluence", n_agents=n_agents)
        super().__init__(n_agents, neighbours, settings)
        self.__dict__["actors"] = actors  # not submodules: the policy is not part of the credit
        self.warned_of_few = False
        self.checked_sampling = False

    def __deepcopy__(self, memo: dict[int, Any]) -> "ScoreInfluence":
        """A copy that reads the same actors, or their copies if `memo` has them already."""
        actors = tuple(memo.get(id(actor), actor) for actor in self.actors)
        state = {name: value for name, value in vars(self).items() if name != "actors"}
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        new.__setstate__(copy.deepcopy(state, memo))
        new.__dict__["actors"] = actors
        return new

    @torch.no_grad()
    def observe(self, rollout: TensorDictBase, signals: AgentSignals) -> None:
        """Test every pair on this rollout, and renew Ŵ."""
        self.require_agents(signals.advantage.shape[-2])
        self.to(signals.advantage.device)
        data = prepare(self.actors, rollout, signals, self.options, self.neighbours)
        self._warn_of_few(len(data.score))
        self._check_sampling(data.score)
        if len(data.score) < 2:  # products of different units are needed
            return
        for agents in self.columns.chunks(CHUNK, least=number_of_ranks()):
            self.remember(agents, self._study(data, agents))
        self.renew()

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
            p = self.detected((total / count.sqrt()).amax(0))
            unseen = (1 - columns.with_all(p)).scatter(-1, own[agent], 0)
            found.rest[row] = pair_test(unseen.to(parts.dtype).unsqueeze(0) @ parts[:, :-1])[0]
        return found.over_ranks()
