"""What signals observe and pay for, computed from counts of vehicles; `env.py` has the tables."""

from collections.abc import Sequence

import numpy as np

from ilvf.envs.options import SignalOptions
from ilvf.envs.traffic.episode_statistics import EpisodeStatistics
from ilvf.envs.traffic.network.network import Network, Signal
from ilvf.envs.traffic.simulator.simulation import Reading
from ilvf.envs.traffic.simulator.sumo_process import Query

DETECTOR_VEHICLES = 5.0  # vehicles on a detector at which a wave is 1
DETECTOR_LIMIT = 2.0  # largest wave of a detector
SPACE = 7.5  # [m] of road per standing vehicle, its gap included


def entries(signal: Signal, per: str) -> tuple[str, ...]:
    """The approach lane of every number in the signal's wave."""
    return signal.link_lanes if per == "link" else signal.lanes


class Senses:
    """Waves and rewards of all signals.

    M approach lanes, E entries: the links, or lanes, of all signals one after the other.

    Args:
        network: the roads.
        options: `per`, `link_queue` and those of the reward are used.
        detectors: counts are those of lane-area detectors instead of lanes.

    Attributes:
        sizes: number of entries of each signal.
        lanes: the M approach lanes.
        capacity: vehicles at which the wave of each approach lane is 1, `[M]`.
        queries: what to read from SUMO; the first two are the vehicles for the wave and the
            halting vehicles, the next one what else the reward needs, and with `link_queue` the
            last one the halting vehicles in every simulation step.
    """

    def __init__(self, network: Network, options: SignalOptions, *, detectors: bool):
        self.network = network
        self.options = options
        self.detectors = detectors
        self.per = options.per
        per_signal = [entries(signal, options.per) for signal in network.signals]
        self.sizes = [len(lanes) for lanes in per_signal]
        self.lanes = tuple(dict.fromkeys(lane for lanes in per_signal for lane in lanes))
        index = {lane: m for m, lane in enumerate(self.lanes)}
        self._lane = np.array([index[lane] for lanes in per_signal for lane in lanes], np.intp)
        self._signal = np.repeat(np.arange(len(self.sizes)), self.sizes)
        self._own_entries = np.split(np.arange(len(self._lane)), np.cumsum(self.sizes)[:-1])
        links = [lane for signal in network.signals for lane in signal.link_lanes]
        self._link_lane = np.array([index[lane] for lane in links], np.intp)
        extensions = {} if detectors else network.extensions
        covered = [(lane, *extensions.get(lane, ())) for lane in self.lanes]
        self._cover_lanes(covered)
        if detectors:
            self.capacity = np.full(len(self.lanes), DETECTOR_VEHICLES)
        else:
            lengths = network.lane_lengths
            metres = [sum(lengths[lane] for lane in lanes) for lanes in covered]
            self.capacity = np.array(metres) / SPACE
        self.queries = self._queries()

    # ------------------------------------------------------------------ what to read
    def _cover_lanes(self, covered: Sequence[tuple[str, ...]]) -> None:
        """Number the lanes that are counted for each approach lane: itself and its extension."""
        self._counted = tuple(dict.fromkeys(lane for lanes in covered for lane in lanes))
        index = {lane: k for k, lane in enumerate(self._counted)}
        self._covered = np.array([index[lane] for lanes in covered for lane in lanes], np.intp)
        self._starts = np.cumsum([0, *(len(lanes) for lanes in covered[:-1])])

    def _queries(self) -> list[Query]:
        """Vehicles for the wave, halting vehicles, and what else is needed."""
        domain = "lanearea" if self.detectors else "lane"
        queries: list[Query] = [
            (domain, "getLastStepVehicleNumber", self._counted, False),
            (domain, "getLastStepHaltingNumber", self.lanes, False),
        ]
        if self.options.reward_backlog:
            edges = [self._edges(signal) for signal in self.network.signals]
            self._edge_signal = np.repeat(np.arange(len(edges)), [len(e) for e in edges])
            all_edges = tuple(edge for of_signal in edges for edge in of_signal)
            queries.append(("edge", "getPendingVehicles", all_edges, False))
        if self.options.reward == "wait":
            queries.append(("lane", "getWaitingTime", self.lanes, False))
        if self.options.reward == "pressure":
            lanes, self._density = self._density_weights()
            queries.append(("lane", "getLastStepVehicleNumber", lanes, False))
        if self.options.link_queue:
            queries.append(("lane", "getLastStepHaltingNumber", self._counted, True))
        return queries

    def _edges(self, signal: Signal) -> list[str]:
        """The edges of a signal's approach lanes and their extensions."""
        edges = []
        for approach in signal.lanes:
            for lane in (approach, *self.network.extensions.get(approach, ())):
                edges.append(lane.rpartition("_")[0])  # lane ids are EDGE_INDEX
        return list(dict.fromkeys(edges))

    def _density_weights(self) -> tuple[tuple[str, ...], np.ndarray]:
        """Lanes, and weights `[N, lanes]`; weights @ vehicles is density in − density out."""
        moves = [self._move(signal) for signal in self.network.signals]
        lanes = tuple(dict.fromkeys(lane for move in moves for side in move for lane in side))
        index = {lane: k for k, lane in enumerate(lanes)}
        weights = np.zeros((len(moves), len(lanes)))
        for i, (incoming, outgoing) in enumerate(moves):
            for sign, side in ((1, incoming), (-1, outgoing)):
                for lane in side:
                    weights[i, index[lane]] += sign * SPACE / self.network.lane_lengths[lane]
        return lanes, weights

    def _move(self, signal: Signal) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The lanes that count as incoming and as outgoing of a signal."""
        if self.per == "link":
            return signal.link_lanes, signal.link_targets
        return signal.lanes, tuple(dict.fromkeys(signal.link_targets))

    def capacity_of(self, lane: str) -> float:
        """Vehicles at which the wave of an approach lane is 1."""
        return float(self.capacity[self.lanes.index(lane)])

    # ------------------------------------------------------------------ waves
    def waves(self, reading: Reading) -> np.ndarray:
        """The wave of every entry, float32 `[E]`."""
        vehicles = reading.counts[0]
        if self.detectors:
            wave = np.minimum(vehicles / self.capacity, DETECTOR_LIMIT)
        else:
            wave = self._by_approach(vehicles) / self.capacity
        return wave[self._lane].astype(np.float32)

    def _by_approach(self, counts: np.ndarray) -> np.ndarray:
        """Vehicles on each approach lane and its extension, from those on the counted lanes."""
        return np.add.reduceat(counts[self._covered], self._starts)

    def observed_entries(self, neighbours: Sequence[Sequence[int]] | None) -> list[np.ndarray]:
        """For each signal the entries that it observes: its own, then those of its neighbours.

        Args:
            neighbours: for each signal the indices of its neighbours; None for own entries alone.
        """
        if neighbours is None:
            return self._own_entries
        found = []
        for own, others in zip(self._own_entries, neighbours, strict=True):
            found.append(np.concatenate([own, *(self._own_entries[j] for j in others)]))
        return found

    # ------------------------------------------------------------------ rewards
    def rewards(self, reading: Reading) -> np.ndarray:
        """The reward r_i of every signal, `[N]`."""
        options = self.options
        if options.reward == "pressure":
            return -options.reward_scale * abs(self._density @ reading.counts[2])
        by_lane = reading.counts[2 if options.reward == "wait" else 1]  # [M]
        if options.reward_cap is not None and options.reward == "queue":
            by_lane = np.minimum(by_lane, options.reward_cap)
        paid = np.bincount(self._signal, by_lane[self._lane], minlength=len(self.sizes))
        if options.reward_backlog:
            waiting = reading.counts[2]
            paid += np.bincount(self._edge_signal, waiting, minlength=len(self.sizes))
        return -options.reward_scale * paid

    def queue(self, reading: Reading) -> float:
        """Halting vehicles per approach lane, now."""
        return float(reading.counts[1].mean())

    def link_queue(self, reading: Reading) -> float:
        """Halting vehicles per link and simulation step; 0 if they are not measured."""
        if not self.options.link_queue:
            return 0.0
        return float(self._by_approach(reading.counts[-1])[self._link_lane].mean())

    # ------------------------------------------------------------------ statistics
    def no_statistics(self, reading: Reading) -> EpisodeStatistics:
        """The statistics of an episode that begins with a reading."""
        return EpisodeStatistics(reading.totals, has_links=self.options.link_queue)

    def count(self, reading: Reading, statistics: EpisodeStatistics) -> None:
        """Add a step to the statistics."""
        statistics.add(reading, self.queue(reading), self.link_queue(reading))
