"""`LearnedInfluence`: influence from weights that a critic has written."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from tensordict.utils import NestedKey
from torch import Tensor

from ilvf.credit.discretise import Bernoulli, Discretise, Soft, Threshold
from ilvf.credit.fixed import FixedInfluence
from ilvf.credit.functional import force_diagonal
from ilvf.credit.signals import need
from ilvf.credit.sources import InfluenceSource
from ilvf.credit.sparse import SparseInfluence
from ilvf.credit.weights import require_pairs, require_weights
from ilvf.errors import require, require_choice
from ilvf.modules.attention import require_generator
from ilvf.modules.neighbours import require_neighbours
from ilvf.options import nearest
from ilvf.options.arguments import found_words, require_flags

WEIGHT_HINT = (
    "It comes from an InfluenceCritic's value_module(), from any module that writes it, "
    "or give influence=[N, N]"
)


class LearnedInfluence(InfluenceSource):
    """Ŵ from influence weights w in [0, 1] that a critic has written (paper, Sec. 4.3.2).

        Ŵ = discretise(w), Ŵ_ii = 1

    Args:
        discretise: `Threshold`, `Bernoulli` or `Soft`; None is `Threshold(0.5)`.
        orientation: `influence` reads rows of w as acting agents; `attention` transposes, which is
            the literal reading of eq. 10 (App. B.3 says why it is not the default).
        diagonal: force Ŵ_ii = 1; False is the paper's literal text.
        generator: of the sampling; None uses torch's global generator. Checkpoints save that one
            alone, so with a generator of its own a resumed run draws others.
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
        return SparseInfluence.again(neighbours, value, by_return=by_return)

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


def require_writer(writer: Any) -> None:
    """Raise unless `writer` is a TensorDictModule or None."""
    require(
        writer is None or isinstance(writer, TensorDictModuleBase),
        f"LearnedInfluence: writer must be a TensorDictModule, found {found_words(writer)}; "
        "for a RelevanceCritic pass its relevance_module()",
    )


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
