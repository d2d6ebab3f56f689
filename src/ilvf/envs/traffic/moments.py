"""Moments of an episode, and the simulators that wait in them.

SUMO can save its state, but what it loads again differs in small ways. A moment is therefore the
episode's seed and all actions so far, with which SUMO gets to the same state, number by number. The
simulator that has got there is kept and forked for every further episode from this moment.
"""

import hashlib
import weakref
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import psutil

from ilvf.envs.traffic.episode_statistics import EpisodeStatistics
from ilvf.envs.traffic.simulator.child import Frozen
from ilvf.envs.traffic.simulator.simulation import Reading, Simulation
from ilvf.envs.traffic.simulator.sumo_process import Move

LEAST_MEMORY = 1e9  # [bytes] that stay free
MOST_FROZEN = 512  # simulators


@dataclass(frozen=True)
class Moment:
    """Where an episode is, and how it got there.

    Attributes:
        seed: of the episode.
        moves: of every step so far.
        noise: new seed of SUMO's generators before the next step; None lets them go on.
        clock: steps that count for the end of the episode.
    """

    seed: int
    moves: tuple[Move, ...]
    noise: int | None
    clock: int

    @property
    def way(self) -> Hashable:
        """What a simulator has to do to get there; the same for moments with other noise."""
        return self.seed, self.moves


@dataclass(frozen=True)
class Arrival:
    """A simulation that has got to a moment.

    Attributes:
        reading: the last one.
        statistics: of the episode so far.
        frozen: the simulator; None if it cannot be forked and is used itself.
    """

    reading: Reading
    statistics: EpisodeStatistics
    frozen: Frozen | None


class Freezer:
    """Simulators that wait in moments, by the way that has led there.

    If memory runs low, those that were not used for longest are ended. They get there again when
    they are needed.

    Attributes:
        coming: ways that a simulator is on.
    """

    def __init__(self) -> None:
        self._arrivals: OrderedDict[Hashable, Arrival] = OrderedDict()
        self.coming: set[Hashable] = set()
        weakref.finalize(self, end_all, self._arrivals)

    def has(self, way: Hashable) -> bool:
        """Whether a simulator has got there, or is on the way."""
        return way in self.coming or self.find(way) is not None

    def find(self, way: Hashable) -> Arrival | None:
        """The simulator that has got there, unless it has been killed."""
        found = self._arrivals.get(way)
        if found is None:
            return None
        if found.frozen is not None and not found.frozen.is_alive:
            end(self._arrivals.pop(way))
            return None
        self._arrivals.move_to_end(way)
        return found

    def keep(self, way: Hashable, arrival: Arrival) -> None:
        """Keep a simulator, and end others if there is no room."""
        while self._arrivals and self._is_full():
            end(self._arrivals.popitem(last=False)[1])
        self._arrivals[way] = arrival

    def _is_full(self) -> bool:
        few = psutil.virtual_memory().available < LEAST_MEMORY
        return few or len(self._arrivals) >= MOST_FROZEN


def end(arrival: Arrival) -> None:
    """End the simulator of an arrival."""
    if arrival.frozen is not None:
        arrival.frozen.end()


def end_all(arrivals: OrderedDict[Hashable, Arrival]) -> None:
    """End the simulators of all arrivals."""
    while arrivals:
        end(arrivals.popitem()[1])


freezers: weakref.WeakValueDictionary[str, Freezer] = weakref.WeakValueDictionary()


def freezer_of(simulation: Simulation) -> Freezer:
    """The freezer of all simulations in this process that have the same arguments."""
    description: Any = (simulation.arguments, simulation.setup)
    key = hashlib.sha256(repr(description).encode()).hexdigest()
    freezer = freezers.get(key)
    if freezer is None:
        freezer = Freezer()
        freezers[key] = freezer
    return freezer
