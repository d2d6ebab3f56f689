"""The actions of a whole team: sizes that are the same for all agents, and what is padding.

Imports no torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from gymnasium import spaces

from ilvf.envs.pettingzoo.acting import Acting
from ilvf.envs.pettingzoo.faults import ProtocolError, name_list


@dataclass(frozen=True)
class TeamActing:
    """The actions of N agents, as vectors of A numbers.

    A is the most actions, the most numbers of a Box, or, of several choices, the sum over the
    components of the most choices. Component d begins at the same number for all agents.

    Attributes:
        agents: the actions of every agent.
    """

    agents: tuple[Acting, ...]

    @cached_property
    def continuous(self) -> bool:
        """Whether the actions are those of a Box."""
        return self.agents[0].continuous

    @cached_property
    def several(self) -> bool:
        """Whether an action of some agent is several choices."""
        return any(acting.several for acting in self.agents)

    @cached_property
    def widths(self) -> np.ndarray:
        """The most choices of each component, or the most numbers of a Box, `[D]`."""
        return self._padded_counts.max(0)

    @property
    def size(self) -> int:
        """A."""
        return int(self.widths.sum())

    @cached_property
    def begins(self) -> np.ndarray:
        """Where each component begins in the vector, `[D]`."""
        return self.widths.cumsum() - self.widths

    @cached_property
    def _padded_counts(self) -> np.ndarray:
        """Choices of every component, `[N, D]`; one where an agent has fewer components."""
        most = max(len(acting.counts) for acting in self.agents)
        counts = np.ones((len(self.agents), most), np.int64)
        for row, acting in zip(counts, self.agents, strict=True):
            row[: len(acting.counts)] = acting.counts
        return counts

    @cached_property
    def counts(self) -> np.ndarray:
        """Choices of every agent `[N]`, or of each of its components `[N, D]`."""
        return self._padded_counts if self.several else self._padded_counts[:, 0]

    @cached_property
    def existing(self) -> np.ndarray:
        """The choices that each agent has at all, bool `[N, A]`."""
        parts = []
        for d, width in enumerate(self.widths):
            parts.append(np.arange(width) < self._padded_counts[:, [d]])
        return np.concatenate(parts, -1)

    def possible(self, mask: np.ndarray) -> np.ndarray:
        """Whether an action mask `[B, N, A]` leaves every component a choice, `[B, N]`."""
        by_component = np.logical_or.reduceat(mask, self.begins, -1)
        return np.asarray(by_component.all(-1))

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest continuous actions, `[N, A]` each, padded with 0."""
        shape = (len(self.agents), self.size)
        low = np.zeros(shape)
        high = np.zeros(shape)
        for i, acting in enumerate(self.agents):
            box = acting.space
            assert isinstance(box, spaces.Box)
            low[i, : acting.size] = box.low.ravel()
            high[i, : acting.size] = box.high.ravel()
        return low, high

    def columns(self, agent: int) -> np.ndarray | slice:
        """Where an agent's choices or numbers are in the vector."""
        acting = self.agents[agent]
        if not self.several:
            return slice(acting.size)
        pairs = zip(self.begins, acting.counts, strict=False)
        return np.concatenate([np.arange(begin, begin + count) for begin, count in pairs])


def as_team(agents: Mapping[str, Acting]) -> dict[str, Acting]:
    """The actions of agents, with their columns in the vector of their team.

    Raises:
        ProtocolError: some agents have a Box and others have not.
    """
    discrete = [name for name, acting in agents.items() if not acting.continuous]
    if 0 < len(discrete) < len(agents):
        raise ProtocolError(
            f"the actions of {name_list(discrete)} are discrete, those of the others a Box; need "
            "one kind"
        )
    team = TeamActing(tuple(agents.values()))
    placed = {}
    for i, (name, acting) in enumerate(agents.items()):
        placed[name] = replace(acting, columns=team.columns(i))
    return placed
