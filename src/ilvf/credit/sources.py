"""Influence sources: where the influence Ŵ of `ILVFAdvantage` comes from.

A source is a module that returns Ŵ `[*B, T, N, N]` for a rollout (row = acting agent, column =
agent whose return it moves). `LearnedInfluence` reads weights that a critic writes: the Gumbel
attention of ILVF-P, the attention over actions of its ablation, the relevance of PRD.
`FixedInfluence` is a known graph. `ScoreInfluence` (in `ilvf.credit.score`) tests the rollout. A
source of your own subclasses `InfluenceSource`.
"""

import inspect
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from tensordict.utils import NestedKey
from torch import Tensor, nn

from ilvf.credit.discretise import Bernoulli, Discretise, Soft, Threshold
from ilvf.credit.functional import force_diagonal
from ilvf.credit.signals import need
from ilvf.credit.sparse import SparseInfluence
from ilvf.errors import UsageError, require, require_choice
from ilvf.modules.attention import require_generator
from ilvf.modules.checks import require_tensor
from ilvf.modules.neighbours import require_neighbours
from ilvf.options import nearest
from ilvf.options.arguments import found_words, require_flags

ROUNDING = 1e-5  # of weights that are computed, such as correlations
SCALE = (
    "divide each row by its largest entry (the scale of a row has no effect on standardised "
    "advantages), and leave out negative ones"
)
WEIGHT_HINT = (
    "It comes from an InfluenceCritic's value_module(), from any module that writes it, "
    "or give influence=[N, N]"
)


@dataclass(frozen=True)
class AgentSignals:
    """What every agent received in a rollout `[*B, T]`, and what its advantage was.

    Attributes:
        reward, done, advantage: `[*B, T, N, 1]` each, over all groups; A_j before the mixing.
        alive: bool `[*B, T, N, 1]`, or None if all agents live.
        time: the dimension of time.
        sizes: agents of each group; empty for one group.
    """

    reward: Tensor
    done: Tensor
    advantage: Tensor
    alive: Tensor | None
    time: int
    sizes: tuple[int, ...] = ()


class InfluenceSource(nn.Module):
    """Base of all influence sources.

    `ILVFAdvantage` calls `prepare`, then estimates values and advantages, then calls `observe`, and
    asks for `influence`. Only the last must be written.

    Attributes:
        reads_weights: the source reads influence weights that are written into the rollout.
        observes: the source learns from every rollout by `observe`; its buffers are its state.
        checked: the source itself makes sure that Ŵ is in [0, 1]; else `ILVFAdvantage` checks it.
    """

    reads_weights = False
    observes = False
    checked = False

    def prepare(self, rollout: TensorDictBase) -> None:
        """Called with the rollout `[*B, T]` before Ŵ is asked for; writes what the source needs."""

    def observe(self, rollout: TensorDictBase, signals: AgentSignals) -> None:
        """Called once with each rollout `[*B, T]` and its individual advantages."""

    def evidence(self, like: Tensor) -> Tensor | None:
        """p `[*B, N, N]`, evidence for each link, which the rollout shall have for the loss.

        Args:
            like: per-agent advantages `[*B, N, 1]`, for the shape, dtype and device.
        """
        return None

    def metrics(self) -> dict[str, Tensor]:
        """Scalars of what has been learned, for the log."""
        return {}

    def matrices(self) -> dict[str, Tensor]:
        """Title → what has been learned, `[N, N]`, row = acting agent, for pictures."""
        return {}

    @abstractmethod
    def influence(
        self, tensordict: TensorDictBase, key: NestedKey, like: Tensor
    ) -> Tensor | SparseInfluence:
        """Ŵ `[*B, N, N]`, in [0, 1], or a `SparseInfluence` of a large team.

        Args:
            tensordict: a rollout `[*B, T]`, or a flat batch of one.
            key: where influence weights are.
            like: per-agent advantages `[*B, N, 1]`, for the shape, dtype and device of Ŵ.
        """

    def drawn(self, value: Tensor) -> Tensor | SparseInfluence:
        """The Ŵ of an earlier call, of which the rollout has kept `value`.

        A source whose `influence` is a `SparseInfluence` makes it again of these weights.
        """
        return value

    def in_states(self, states: TensorDictBase, key: NestedKey) -> tuple[Tensor, Tensor] | None:
        """(w, Ŵ) `[*B, N, N]` in these states, for reports; None if nothing is learned."""
        return None


class FixedInfluence(InfluenceSource):
    """The same graph in every state: ones is MAPPO, the identity IPPO-C, a known graph the oracle.

    Args:
        graph: Ŵ `[N, N]`, in [0, 1]. Graphs of what enters an agent's reward, such as
            `env.reward_graph`, are its transpose.
        sparse: mix advantages by the entries that differ from their row's minimum, which is faster
            for the sparse graph of a large team.
    """

    checked = True
    graph: Tensor

    def __init__(self, graph: Tensor, *, sparse: bool = False):
        super().__init__()
        require_graph(graph)
        require_flags("FixedInfluence", sparse=sparse)
        self.register_buffer("graph", graph, persistent=False)  # belongs to the configuration
        self.links = SparseInfluence.of(graph) if sparse else None

    def influence(
        self, tensordict: TensorDictBase, key: NestedKey, like: Tensor
    ) -> Tensor | SparseInfluence:
        """The graph, expanded without a copy."""
        n = like.shape[-2]
        found = self.graph.shape[0]
        require(found == n, f"influence is for {found} agents, the advantage has {n}")
        if self.links is not None:
            self.links = self.links.to(like)
            return self.links
        return self.graph.to(like).expand(*like.shape[:-1], n)

    def drawn(self, value: Tensor) -> Tensor | SparseInfluence:
        return value if self.links is None else self.links


class LearnedInfluence(InfluenceSource):
    """Ŵ from influence weights w in [0, 1] that a critic has written (paper, Sec. 4.3.2).

        Ŵ = discretise(w), Ŵ_ii = 1

    Args:
        discretise: `Threshold`, `Bernoulli` or `Soft`; None is `Threshold(0.5)`.
        orientation: `influence` reads rows of w as acting agents; `attention` transposes, which is
            the literal reading of eq. 10 (App. B.3 says why it is not the default).
        diagonal: force Ŵ_ii = 1; False is the paper's literal text.
        generator: of the sampling; None uses torch's global generator.
        writer: module that writes the weights into a rollout, where the critic of
            `ILVFAdvantage` does not; `RelevanceCritic.relevance_module()` makes PRD.
        neighbours: the weights are those of an `InfluenceCritic` with these `neighbours` `[N, K]`,
            `[*B, N, K]` with a row for each critic; None for weights of all pairs.
    """

    reads_weights = True

    def __init__(
        self,
        discretise: Discretise | None = None,
        *,
        orientation: str = "influence",
        diagonal: bool = True,
        generator: torch.Generator | None = None,
        writer: TensorDictModuleBase | None = None,
        neighbours: Tensor | None = None,
    ):
        super().__init__()
        n_agents = len(neighbours) if isinstance(neighbours, Tensor) and neighbours.ndim else 0
        require_neighbours("LearnedInfluence", neighbours, n_agents)
        require_choice("orientation", orientation, ("influence", "attention"))
        require(
            discretise is None or (callable(discretise) and not isinstance(discretise, type)),
            "discretise must be a part such as Bernoulli() or Threshold(0.5), "
            f"found {discretise!r:.60}",
        )
        require_flags("LearnedInfluence", diagonal=diagonal)
        require_generator("LearnedInfluence", generator)
        require_writer(writer)
        self.discretise: Discretise = discretise or Threshold()
        self.checked = isinstance(self.discretise, Threshold | Bernoulli | Soft)
        self.orientation = orientation
        self.diagonal = diagonal
        self.generator = generator
        self.writer = writer
        self.register_buffer("neighbours", neighbours, persistent=False)

    neighbours: Tensor | None

    @torch.no_grad()
    def prepare(self, rollout: TensorDictBase) -> None:
        """Run `writer`, if there is one."""
        if self.writer is not None:
            self.writer(rollout)

    @torch.no_grad()
    def influence(
        self, tensordict: TensorDictBase, key: NestedKey, like: Tensor
    ) -> Tensor | SparseInfluence:
        weight = need(tensordict, key, WEIGHT_HINT)
        require_pairs(weight, key, like, self.neighbours)
        require_weights(str(key), weight, "weights, not logits")
        if self.neighbours is None:
            return self.draw(weight).to(like.dtype)
        return self.drawn(self.draw_candidates(weight).to(like.dtype))

    def draw(self, weight: Tensor) -> Tensor:
        """Ŵ from weights `[*B, N, N]`: oriented, discretised, with its diagonal."""
        influence = self.discretise(self.oriented(weight), self.generator)
        return force_diagonal(influence) if self.diagonal else influence

    def draw_candidates(self, weight: Tensor) -> Tensor:
        """Ŵ from the weights of neighbours `[*B, N, K]`, of which the first is the own one."""
        value = self.discretise(weight, self.generator)
        if self.diagonal:
            value = value.slice_scatter(torch.ones_like(value[..., :1]), -1, 0, 1)
        return value

    def drawn(self, value: Tensor) -> Tensor | SparseInfluence:
        return value if self.neighbours is None else self._sparse(value, self.neighbours)

    def _sparse(self, value: Tensor, neighbours: Tensor) -> SparseInfluence:
        by_return = self.orientation == "influence"  # a row belongs to a critic
        return SparseInfluence(neighbours.to(value.device), value, by_return=by_return)

    def oriented(self, weight: Tensor) -> Tensor:
        """w with acting agents as rows."""
        return weight.transpose(-1, -2) if self.orientation == "attention" else weight

    @torch.no_grad()
    def in_states(self, states: TensorDictBase, key: NestedKey) -> tuple[Tensor, Tensor]:
        weight = need(states, key, WEIGHT_HINT)
        if self.neighbours is None:
            return self.oriented(weight), self.draw(weight)
        found = weight, self.draw_candidates(weight)
        w, influence = (self._sparse(value, self.neighbours).dense() for value in found)
        return w, influence


def as_source(
    influence: Tensor | InfluenceSource | None, options: Mapping[str, Any]
) -> InfluenceSource:
    """A source as it is, a tensor as `FixedInfluence`, None as `LearnedInfluence(**options)`."""
    known = list(inspect.signature(LearnedInfluence).parameters)
    for name in options:
        require(
            name in known,
            f"ILVFAdvantage has no option {name!r}{nearest(name, known)}; "
            f"options of a learned influence are {', '.join(known)}",
        )
    require(
        influence is None or not options,
        f"{', '.join(options)} belongs to a learned influence; leave it out, or influence=",
    )
    if isinstance(influence, InfluenceSource):
        return influence
    if influence is not None:
        return FixedInfluence(influence)
    return LearnedInfluence(**options)


def require_pairs(
    value: Tensor, key: NestedKey, like: Tensor, neighbours: Tensor | None = None
) -> None:
    """Raise unless `value` has a number for every pair of agents of `like` `[*B, N, 1]`.

    Args:
        neighbours: `[N, K]`: a number for each of an agent's neighbours is needed instead.
    """
    found = tuple(value.shape)
    if neighbours is not None:
        wanted = (*like.shape[:-2], *neighbours.shape)
        require(found == wanted, f"{key} has shape {found}, need {wanted}: [*B, T, N, K]")
        return
    shape = (*like.shape[:-1], like.shape[-2])
    require(
        found == shape,
        f"{key} has shape {found}, need {shape}: [*B, T, N, N], row = acting agent",
    )


def require_influence(source: InfluenceSource, influence: Any, like: Tensor) -> None:
    """Raise unless a source's Ŵ is in [0, 1], for the agents of `like` `[*B, T, N, 1]`."""
    name = f"the influence of {type(source).__name__}"
    if isinstance(influence, SparseInfluence):
        influence.require_for(name, like)
        again = type(source).drawn is not InfluenceSource.drawn
        require(again, f"{name} is sparse; write its method drawn(value) too")
        parts = [influence.value, influence.outside]
    else:
        require_tensor(name, influence)
        require_pairs(influence, name, like)
        parts = [influence]
    for part in parts:
        if part is not None:
            require_weights(name, part, SCALE, ROUNDING)


def require_writer(writer: Any) -> None:
    """Raise unless `writer` is a TensorDictModule or None."""
    require(
        writer is None or isinstance(writer, TensorDictModuleBase),
        f"LearnedInfluence: writer must be a TensorDictModule, found {found_words(writer)}; "
        "for a RelevanceCritic pass its relevance_module()",
    )


def require_weights(name: str, weight: Tensor, advice: str, slack: float = 0) -> None:
    """Raise unless all numbers are in [0, 1].

    It reads the device, so that compiled code does not do it.

    Args:
        name, advice: for the message.
        slack: how far beyond they may be, by rounding.
    """
    if torch.compiler.is_compiling():
        return
    low, high = weight.aminmax()
    if not (low >= -slack) & (high <= 1 + slack):  # formatting the message reads, too
        raise UsageError(f"{name} is in [{low:.3g}, {high:.3g}], need [0, 1]: {advice}")


def require_graph(influence: Tensor) -> None:
    """Raise unless the graph is a square matrix with entries in [0, 1]."""
    require(
        isinstance(influence, Tensor),
        f"influence must be a tensor [N, N] or an InfluenceSource, found {found_words(influence)}",
    )
    found = tuple(influence.shape)
    require(
        len(found) == 2 and found[0] == found[1],
        f"influence must be a square [N, N] tensor, found {found}",
    )
    require(influence.numel() > 0, "influence is empty, need a row for each agent")
    require(bool(torch.isfinite(influence).all()), "influence has entries that are not finite")
    require_weights("influence", influence.float(), SCALE, ROUNDING)
