"""Influence sources: where the influence Ŵ of `ILVFAdvantage` comes from.

A source is a module that returns Ŵ `[*B, T, N, N]` for a rollout (row = acting agent, column =
agent whose return it moves). `LearnedInfluence` reads weights that a critic writes: the Gumbel
attention of ILVF-P, the attention over actions of its ablation, the relevance of PRD.
`FixedInfluence` is a known graph. `ScoreInfluence` tests the rollout. A source of your own
subclasses `InfluenceSource`.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from tensordict import TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor, nn

from ilvf.credit.sparse import SparseInfluence
from ilvf.credit.weights import ROUNDING, SCALE, require_pairs, require_weights
from ilvf.errors import require
from ilvf.modules.checks import require_tensor


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

    `ILVFAdvantage` estimates values and advantages, then calls `prepare` and `observe`, and asks
    for `influence`. Only the last must be written.

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
