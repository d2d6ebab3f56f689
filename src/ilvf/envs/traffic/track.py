"""The way of one simulation through its episode, and the way back to any moment of it."""

import dataclasses
from collections.abc import Sequence

from ilvf.envs.traffic.episode_statistics import EpisodeStatistics
from ilvf.envs.traffic.moments import Arrival, Freezer, Moment, freezer_of
from ilvf.envs.traffic.senses import Senses
from ilvf.envs.traffic.simulator.episodes import Episodes
from ilvf.envs.traffic.simulator.simulation import Reading, SimulatorLost
from ilvf.envs.traffic.simulator.sumo_process import Move
from ilvf.errors import UsageError


class Track:
    """Records the moves of an episode, and brings a simulator to recorded moments.

    Args:
        episodes: of the simulation.
        senses: make statistics of its readings.
    """

    def __init__(self, episodes: Episodes, senses: Senses):
        self.episodes = episodes
        self.simulation = episodes.simulation
        self.senses = senses
        self._moves: list[Move] = []
        self._noise: int | None = None
        self._freezer: Freezer | None = None

    # ------------------------------------------------------------------ record
    def begin(self) -> None:
        """An episode begins."""
        self._moves = []
        self._noise = None

    def add(self, phases: Sequence[int]) -> None:
        """The signals have chosen phases."""
        self._moves.append((self._noise, tuple(phases)))
        self._noise = None

    def moment(self, clock: int) -> Moment:
        """The present moment, `clock` steps into the episode."""
        assert self.episodes.seed is not None
        return Moment(self.episodes.seed, tuple(self._moves), self._noise, clock)

    # ------------------------------------------------------------------ the way back
    @property
    def freezer(self) -> Freezer:
        """The simulators that wait in moments."""
        if self._freezer is None:
            self._freezer = freezer_of(self.simulation)
        return self._freezer

    def request(self, moment: Moment) -> None:
        """Send the simulation to a moment, unless another has got there or is on the way."""
        if self.simulation.can_freeze:
            if self.freezer.has(moment.way):
                return
            self.freezer.coming.add(moment.way)
        self.episodes.request_replay(moment.seed, moment.moves)

    def restore(self, moment: Moment) -> tuple[Reading, EpisodeStatistics]:
        """Bring the simulation to a moment; returns its reading and the statistics until then.

        Raises:
            UsageError: a simulator is lost.
        """
        try:
            arrival = self._arrival(moment)
            if moment.noise is not None:
                self.simulation.seed(moment.noise)
        except SimulatorLost as error:
            raise UsageError(
                f"step {len(moment.moves)} of the episode with seed {moment.seed} cannot be "
                f"restored: {error}"
            ) from None
        self._moves = list(moment.moves)
        self._noise = moment.noise
        self.episodes.seed = moment.seed
        return arrival.reading, dataclasses.replace(arrival.statistics)

    def _arrival(self, moment: Moment) -> Arrival:
        """Bring the simulation to a moment, or take a fork of one that is there."""
        found = self.freezer.find(moment.way)
        if found is None:
            if self.episodes.requested != "replay":  # it was ended for lack of memory
                self.episodes.request_replay(moment.seed, moment.moves)
            found = self._arrive(moment)
        if found.frozen is not None:
            self.simulation.thaw(found.frozen)
        return found

    def _arrive(self, moment: Moment) -> Arrival:
        """Wait for the simulation's way to a moment, and keep it there if it can be forked."""
        try:
            readings = self.episodes.replayed(len(moment.moves))
        finally:
            self.freezer.coming.discard(moment.way)
        statistics = self.senses.no_statistics(readings[0])
        for reading in readings[1:]:
            self.senses.count(reading, statistics)
        frozen = self.simulation.freeze() if self.simulation.can_freeze else None
        arrival = Arrival(readings[-1], statistics, frozen)
        if frozen is not None:
            self.freezer.keep(moment.way, arrival)
        return arrival

    def close(self) -> None:
        """Leave the freezer; the last one that leaves ends its simulators."""
        self._freezer = None
