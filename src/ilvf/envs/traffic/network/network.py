"""What the agents know of a road network: its signals, their phases, lanes and neighbours.

`read.py` makes a `Network` from a net file.
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Signal:
    """A traffic light with at least two green phases. Each signal is one agent.

    A link is a connection over the junction, from one lane to another. A lane from which several
    links start (right, straight, left) is listed once per link.

    Attributes:
        id: SUMO's id.
        phases: the green states that the agent chooses from, with one letter per link index.
        link_lanes: the approach lane of each link, ordered by link index.
        link_targets: the lane that each link leads to.
        position: mean position of its junctions [m].
        link_indices: the link index of each link, which is the place of its letter in a phase. The
            other letters of a phase belong to pedestrian crossings.
    """

    id: str
    phases: tuple[str, ...]
    link_lanes: tuple[str, ...]
    link_targets: tuple[str, ...]
    position: tuple[float, float]
    link_indices: tuple[int, ...]

    @property
    def lanes(self) -> tuple[str, ...]:
        """The distinct approach lanes in order of first appearance."""
        return tuple(dict.fromkeys(self.link_lanes))


@dataclass(frozen=True, eq=False)
class Network:
    """N signals and the roads between them.

    Attributes:
        net_file: the file that the network was read from.
        signals: sorted by id, `nt2` before `nt10`.
        neighbour_lists: for each signal the indices of its neighbours, in the order in which it
            observes them.
        distance: float `[N, N]` [m], along the roads from junction centre to junction centre, in
            the shorter direction; inf where no road leads.
        lane_lengths: length [m] of the lanes before and after signals and of the extensions.
        extensions: approach lane → the upstream lanes that count with it; empty if the approach
            lane is long enough.
        notes: what looks odd: signals that are left out, phases with conflicting links, links that
            no phase opens, signals without neighbours.
        additional_files: files that were searched for signal programs.
        programs: signal → the states of its program, for signals that have one in these files.
    """

    net_file: Path
    signals: tuple[Signal, ...]
    neighbour_lists: tuple[tuple[int, ...], ...]
    distance: np.ndarray
    lane_lengths: dict[str, float]
    extensions: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]
    additional_files: tuple[Path, ...] = ()
    programs: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def neighbours(self) -> np.ndarray:
        """bool `[N, N]`: column j is a neighbour of row i.

        Derived neighbours are symmetric; those of a table need not be.
        """
        found = np.zeros((len(self.signals), len(self.signals)), dtype=bool)
        for i, others in enumerate(self.neighbour_lists):
            found[i, list(others)] = True
        return found

    @property
    def lanes(self) -> tuple[str, ...]:
        """All approach lanes, signal by signal."""
        return tuple(dict.fromkeys(lane for signal in self.signals for lane in signal.lanes))


@dataclass(frozen=True)
class Scenario:
    """The files of a network and its traffic.

    Attributes:
        net_file: the network.
        route_files: vehicles, flows and routes.
        additional_files: more files, such as detectors.
        detectors: True if every approach lane has a lane-area detector with the lane's id.
        table: JSON file of phases, neighbours and extensions; None if they are derived.
    """

    net_file: Path
    route_files: tuple[Path, ...]
    additional_files: tuple[Path, ...]
    detectors: bool
    table: str | Path | None = None
