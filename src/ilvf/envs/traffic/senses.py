"""What signals see and are paid, from counts of vehicles; the tables are in `env.py`."""

from collections.abc import Sequence

import numpy as np

from ilvf.envs.traffic.network.network import Network, Signal
from ilvf.envs.traffic.simulator.simulation import Query, Reading
from ilvf.errors import require, require_choice

WAVE_VEHICLES, WAVE_LIMIT = 5.0, 2.0  # of detectors
SPACE = 7.5  # [m] of road that a standing vehicle takes, its gap included

PER = ("link", "lane")
REWARDS = ("queue", "wait", "pressure")


def entries(signal: Signal, per: str) -> tuple[str, ...]:
    """The approach lane of every number in the signal's wave."""
    return signal.link_lanes if per == "link" else signal.lanes


class Senses:
    """Waves and rewards of all signals, side by side: E = all signals' links, or lanes.

    Args:
        network: the roads.
        detectors, per, reward, reward_cap, reward_backlog, reward_scale: as in `SumoTrafficEnv`.
    """

    def __init__(
        self,
        network: Network,
        *,
        detectors: bool,
        per: str = "link",
        reward: str = "queue",
        reward_cap: float | None = None,
        reward_backlog: bool = False,
        reward_scale: float = 1.0,
    ):
        require_choice("per", per, PER)
        require_choice("reward", reward, REWARDS)
        require(
            reward_cap is None or reward_cap > 0,
            f"reward_cap={reward_cap} must be positive, or null for none",
        )
        require(np.isfinite(reward_scale), f"reward_scale={reward_scale} must be a number")
        require(
            reward == "queue" or not reward_backlog,
            f"reward_backlog=true is for reward=queue, not {reward}",
        )
        self.network, self.detectors, self.per = network, detectors, per
        self.reward, self.reward_cap, self.reward_scale = reward, reward_cap, reward_scale
        self.reward_backlog = reward_backlog
        own = [entries(s, per) for s in network.signals]
        self.sizes = [len(e) for e in own]
        self.lanes = tuple(dict.fromkeys(lane for e in own for lane in e))  # [M] approach lanes
        place = {lane: m for m, lane in enumerate(self.lanes)}
        self._lane = np.array([place[lane] for e in own for lane in e], dtype=np.intp)  # [E]
        self._owner = np.repeat(np.arange(len(own)), self.sizes)  # [E]
        self._own = np.split(np.arange(len(self._lane)), np.cumsum(self.sizes)[:-1])
        self.capacity = self._capacities()
        self.queries: list[Query] = self._queries()

    # ------------------------------------------------------------------ what to ask for
    def _queries(self) -> list[Query]:
        """Vehicles for the wave, halting vehicles, and what else the reward needs."""
        domain = "lanearea" if self.detectors else "lane"
        queries: list[Query] = [
            (domain, "getLastStepVehicleNumber", self._counted),
            (domain, "getLastStepHaltingNumber", self.lanes),
        ]
        if self.reward_backlog:
            edges = [self._edges(signal) for signal in self.network.signals]
            self._entered = np.repeat(np.arange(len(edges)), [len(e) for e in edges])
            queries.append(("edge", "getPendingVehicles", tuple(edge for e in edges for edge in e)))
        if self.reward == "wait":
            queries.append(("lane", "getWaitingTime", self.lanes))
        if self.reward == "pressure":
            leaving, density = self._movements()
            self._density = density
            queries.append(("lane", "getLastStepVehicleNumber", leaving))
        return queries

    def _edges(self, signal: Signal) -> list[str]:
        """What leads to a signal, as far as its lanes are counted."""
        lanes = (
            lane for own in signal.lanes for lane in (own, *self.network.extensions.get(own, ()))
        )
        return [*dict.fromkeys(lane.rpartition("_")[0] for lane in lanes)]

    def _capacities(self) -> np.ndarray:
        """Vehicles at which the wave of a lane is 1, `[M]`; also says which lanes are counted for it."""
        if self.detectors:
            self._counted = self.lanes
            return np.full(len(self.lanes), WAVE_VEHICLES)
        covered = [(lane, *self.network.extensions.get(lane, ())) for lane in self.lanes]
        self._counted = tuple(dict.fromkeys(lane for c in covered for lane in c))
        place = {lane: k for k, lane in enumerate(self._counted)}
        self._covers = np.array([place[lane] for c in covered for lane in c], dtype=np.intp)
        self._starts = np.cumsum([0, *(len(c) for c in covered[:-1])])
        return np.array(
            [sum(self.network.lane_lengths[lane] for lane in c) / SPACE for c in covered]
        )

    def _movements(self) -> tuple[tuple[str, ...], np.ndarray]:
        """(lanes, weights `[N, lanes]`) with which vehicles add up to each signal's density in − density out."""
        moves = [
            (signal.link_lanes, signal.link_targets)
            if self.per == "link"
            else (signal.lanes, tuple(dict.fromkeys(signal.link_targets)))
            for signal in self.network.signals
        ]
        lanes = tuple(dict.fromkeys(lane for pair in moves for side in pair for lane in side))
        place = {lane: k for k, lane in enumerate(lanes)}
        weights = np.zeros((len(moves), len(lanes)))
        for i, (coming, going) in enumerate(moves):
            for sign, side in ((1, coming), (-1, going)):
                for lane in side:
                    weights[i, place[lane]] += sign * SPACE / self.network.lane_lengths[lane]
        return lanes, weights

    def capacity_of(self, lane: str) -> float:
        """Vehicles at which the wave of an approach lane is 1."""
        return float(self.capacity[self.lanes.index(lane)])

    # ------------------------------------------------------------------ from counts to numbers
    def waves(self, reading: Reading) -> np.ndarray:
        """`[E]` float32."""
        vehicles = reading.counts[0]
        if self.detectors:
            wave = np.minimum(vehicles / self.capacity, WAVE_LIMIT)
        else:
            wave = np.add.reduceat(vehicles[self._covers], self._starts) / self.capacity
        return wave[self._lane].astype(np.float32)

    def seen(self, neighbours: np.ndarray | None) -> Sequence[np.ndarray]:
        """Where in `[E]` each signal's observation is: its own numbers, then its neighbours'."""
        if neighbours is None:
            return self._own
        return [
            np.concatenate([own, *(self._own[j] for j in row.nonzero()[0])])
            for own, row in zip(self._own, neighbours, strict=True)
        ]

    def rewards(self, reading: Reading) -> np.ndarray:
        """r_i, `[N]`."""
        if self.reward == "pressure":
            return -self.reward_scale * abs(self._density @ reading.counts[2])
        lanes = reading.counts[2 if self.reward == "wait" else 1]  # [M]
        if self.reward_cap is not None and self.reward == "queue":
            lanes = np.minimum(lanes, self.reward_cap)
        paid = np.bincount(self._owner, lanes[self._lane], minlength=len(self.sizes))
        if self.reward_backlog:
            paid += np.bincount(self._entered, reading.counts[2], minlength=len(self.sizes))
        return -self.reward_scale * paid

    def queue(self, reading: Reading) -> float:
        """Halting vehicles per approach lane."""
        return float(reading.counts[1].mean())
