"""Statistics of an episode of traffic."""

from dataclasses import dataclass

from ilvf.envs.traffic.simulator.simulation import Reading


@dataclass
class EpisodeStatistics:
    """Sums over the steps of an episode so far, from which its statistics are means.

    Attributes:
        steps: number of steps.
        queues: sum over steps of the halting vehicles per approach lane.
        speeds: sum over steps and running vehicles of the speed [m/s].
        vehicles: sum over steps of the running vehicles.
        totals: SUMO's totals of the last reading.
        interrupted: True if the simulator was lost.
        has_links: halting vehicles per link are measured.
        link_queues: sum over steps of them.
    """

    totals: dict[str, float]
    steps: int = 0
    queues: float = 0.0
    speeds: float = 0.0
    vehicles: float = 0.0
    interrupted: bool = False
    has_links: bool = False
    link_queues: float = 0.0

    def add(self, reading: Reading, queue: float, link_queue: float) -> None:
        """Add one step.

        Args:
            reading: of its end.
            queue: halting vehicles per approach lane at its end.
            link_queue: halting vehicles per link, mean over its simulation steps.
        """
        self.totals = reading.totals
        self.steps += 1
        self.queues += queue
        self.link_queues += link_queue
        self.speeds += reading.totals["speed"]
        self.vehicles += reading.totals["running"]

    def as_dict(self) -> dict[str, float]:
        """Name → number; `ilvf.envs.traffic` says what each means."""
        found = {
            "queue": self.queues / max(self.steps, 1),
            "speed": self.speeds / max(self.vehicles, 1.0),
            "travel_time": self.totals["travel_time"],
            "throughput": self.totals["arrived"],
            "running": self.totals["running"],
            "backlog": self.totals["backlog"],
            "teleports": self.totals["teleports"],
            "interrupted": float(self.interrupted),
        }
        if self.has_links:
            found["link_queue"] = self.link_queues / max(self.steps, 1)
        return found
