"""How an agent of a PettingZoo environment acts: its choices or bounds, and their form there.

Imports no torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.spaces.utils import flatdim

from ilvf.envs.pettingzoo.faults import ProtocolError

MOST = 100_000  # choices of a component, as `MultiChoices` allows


@dataclass(frozen=True)
class Acting:
    """The actions of one agent.

    Attributes:
        space: Discrete, MultiDiscrete, MultiBinary, or a Box.
        counts: choices of every component, (n,) of Discrete; of a Box its (number of numbers,).
        columns: of its choices in the team's vector of A numbers, see `TeamActing`.
    """

    space: spaces.Space
    counts: tuple[int, ...]
    columns: Any = None

    @property
    def continuous(self) -> bool:
        """Whether the space is a Box."""
        return isinstance(self.space, spaces.Box)

    @property
    def several(self) -> bool:
        """Whether an action is several choices at once."""
        return isinstance(self.space, spaces.MultiDiscrete | spaces.MultiBinary)

    @property
    def size(self) -> int:
        """All choices, or the numbers of a continuous action."""
        return sum(self.counts)

    def own(self, chosen: Any) -> Any:
        """The environment's action, in its own shape, precision and counting.

        Args:
            chosen: an index, indices with padding, or the numbers of a Box with padding.
        """
        space = self.space
        if isinstance(space, spaces.Discrete):
            index = chosen[0] if isinstance(chosen, list) else chosen
            return int(space.start) + index
        if isinstance(space, spaces.Box):
            numbers = np.asarray(chosen[: self.size], space.dtype).reshape(space.shape)
            return numbers.clip(space.low, space.high)  # bounds of another precision
        indices = np.asarray(chosen[: len(self.counts)]).reshape(space.shape)
        start = space.start if isinstance(space, spaces.MultiDiscrete) else 0
        return (start + indices).astype(space.dtype)


def acting_of(space: spaces.Space, name: str) -> Acting:
    """How the agent `name` acts with this action space.

    Raises:
        ProtocolError: another space, too many choices, or a Box without finite bounds.
    """
    counts: Sequence[int] = ()
    if isinstance(space, spaces.Discrete):
        counts = (int(space.n),)
    elif isinstance(space, spaces.MultiDiscrete):
        counts = space.nvec.ravel().tolist()
    elif isinstance(space, spaces.MultiBinary):
        counts = (2,) * int(np.prod(space.shape))
    elif isinstance(space, spaces.Box):
        _require_bounded(space, name)
        counts = (flatdim(space),)
    else:
        raise ProtocolError(
            f"{name} has actions {space!s:.100}, need Discrete, MultiDiscrete, MultiBinary, or a "
            "bounded Box"
        )
    acting = Acting(space, tuple(counts))
    if acting.several and (not counts or max(counts) > MOST):
        raise ProtocolError(
            f"{name} has actions {space!s:.100}, need at least one component, each of 1 to {MOST} "
            "choices"
        )
    return acting


def _require_bounded(box: spaces.Box, name: str) -> None:
    """Raise unless actions are floats between finite bounds, and some are free."""
    found = f"{name} has actions {box!s:.100}"
    if box.dtype.kind != "f":
        raise ProtocolError(f"{found} of {box.dtype}, need a Box of floats, or Discrete")
    with np.errstate(over="ignore"):
        bounds = np.stack([box.low, box.high]).astype(np.float32)
        width = bounds[1] - bounds[0]
    if not np.isfinite(bounds).all() or not np.isfinite(width).all():
        raise ProtocolError(f"{found}, need finite bounds in float32 for every number")
    if not (width > 0).any():
        raise ProtocolError(f"{found}, need a number that is free to vary")
