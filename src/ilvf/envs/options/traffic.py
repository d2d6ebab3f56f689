"""Traffic signals on SUMO."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from ilvf.envs.options.registry import environment
from ilvf.errors import require
from ilvf.options import Options, option

PRIORITY = (
    "a link that gives way (g) gets priority (G) after the transition; false: at once, as "
    "published, while the opposing stream is still there"
)


@dataclass
class ReadingOptions(Options):
    """How a road network is read."""

    table: str | None = option(
        None,
        "JSON file with phases, neighbours and extensions instead of the derived ones",
        path=True,
    )
    add_protected: bool = option(
        False, "offer the links that give way in a phase also alone, as one more phase"
    )
    max_edges: int = option(3, "signals are neighbours over at most so many edges", least=1)
    max_distance: float = option(200.0, "and so many metres", least=0)
    cover: float = option(
        50.0, "approach lanes shorter than this [m] count with the lanes before them", least=0
    )


@dataclass
class SignalOptions(Options):
    """What signals see and pay for, and how SUMO is run."""

    per: Literal["link", "lane"] = option(
        "link", "list and sum waves and rewards over links, as published, or lanes"
    )
    reward: Literal["queue", "wait", "pressure"] = option(
        "queue", "queue (halting vehicles), wait (their waiting time) or pressure"
    )
    reward_cap: float | None = option(
        None, "most vehicles that a link or lane pays for in queue; null for all", above=0
    )
    reward_backlog: bool = option(
        False, "queue also counts vehicles that wait outside the network for room"
    )
    reward_scale: float = option(1.0, "factor of the rewards")
    link_queue: bool = option(
        False, "also measure the queue as published: vehicles per link in every simulation step"
    )
    observe_neighbors: bool = option(True, "observe the neighbours' waves too")
    lane_noise: bool = option(
        False,
        "every lane has random numbers of its own, so that what one signal does changes no luck "
        "elsewhere; `ilvf audit` and `ilvf influence` set it",
    )
    control_interval: float = option(5.0, "seconds of a step", least=0.001)
    yellow: float = option(2.0, "seconds of it for the transition between phases", least=0)
    priority_waits: bool = option(True, PRIORITY)
    seconds: float = option(3600.0, "seconds of an episode", above=0, most=10**9)
    teleport: float = option(
        600.0,
        "seconds after which SUMO takes a vehicle out of a jam; -1 for never",
        least=-1,
        most=10**9,
    )
    options: Any = option(
        None,
        "more of SUMO's command line, such as '--step-length 0.5'",
        confirm="can make SUMO write files",
    )
    simulator: Literal["libsumo", "traci", "gui"] = option(
        "libsumo", "libsumo, traci, or gui, which opens SUMO's window"
    )
    tripinfo: str | None = option(
        None,
        "folder for SUMO's records of finished trips",
        confirm="names files that are written",
        path=True,
    )
    timeout: float = option(
        60.0,
        "seconds that a simulator may take for a step or reset; it may start for 300 s",
        above=0,
        most=10**6,
    )
    attempts: int = option(3, "episodes in a row in which a simulator may fail", least=1)

    @property
    def episode_steps(self) -> int:
        """Steps of an episode; the part of a step at its end is left out."""
        steps = round(self.seconds / self.control_interval, 6)  # 1 s / 0.1 s is 10 steps
        return math.floor(steps)

    def check(self) -> None:
        super().check()
        interval = self.control_interval
        require(
            self.yellow < interval,
            f"yellow={self.yellow:g} must be shorter than control_interval={interval:g} s",
        )
        require(
            self.episode_steps >= 1,
            f"seconds={self.seconds:g} must be at least one step of {interval:g} s",
        )
        require(
            self.reward == "queue" or not self.reward_backlog,
            f"reward_backlog=true is for reward=queue, not {self.reward}",
        )


@dataclass
class CopyOptions(Options):
    """How copies of a simulator are spread."""

    workers: int = option(0, "processes beside the simulators that step the copies", least=0)


TRAFFIC = "ilvf.envs.traffic.batched"


@environment("large_grid", f"{TRAFFIC}:large_grid_signals", needs=f"{TRAFFIC}:require_large_grid")
@dataclass
class LargeGridOptions(CopyOptions, SignalOptions):
    """Traffic signals of a grid on SUMO, 5 × 5 as published; train with preset=traffic."""

    side: int = option(5, "signals in a row of the grid, which has side × side", least=3, most=40)


@environment("monaco", f"{TRAFFIC}:monaco_signals", needs=f"{TRAFFIC}:require_monaco")
@dataclass
class MonacoOptions(CopyOptions, SignalOptions, ReadingOptions):
    """Traffic signals of Monaco on SUMO; train with preset=traffic."""

    net_file: str | None = option(
        None,
        "most.net.xml; null: where python -m ilvf.envs.traffic.scenarios.monaco --download puts it",
        path=True,
    )
    table: str | None = option(
        "published",
        "published, derived (also null), or a JSON file with phases, neighbours and extensions",
        path=True,
    )
    priority_waits: bool = option(False, PRIORITY)
    reward_cap: float | None = option(
        10.0, "most vehicles that a link or lane pays for in queue; null for all", above=0
    )


@environment("sumo", f"{TRAFFIC}:sumo_signals")
@dataclass
class SumoOptions(CopyOptions, SignalOptions, ReadingOptions):
    """The signals of any SUMO network; train with preset=traffic."""

    net_file: str | None = option(None, "the network, NAME.net.xml", path=True)
    routes: Any = option(None, "its traffic: a file, or several, [a.rou.xml, b.rou.xml]", path=True)
    additional: Any = option(
        None,
        "more files of SUMO, such as detectors",
        confirm="can make SUMO write files",
        path=True,
    )
    detectors: bool = option(
        False, "signals see what the lane-area detector with the id of each lane sees"
    )
