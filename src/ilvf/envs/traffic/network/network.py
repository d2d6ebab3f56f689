"""Any SUMO network as agents: its signals, the green phases they choose from, their lanes and neighbours.

    python -m ilvf.envs.traffic.network my.net.xml

Everything is derived from the net file by rules; the rules have arguments, their results can be overridden by a table
(JSON), and what looks odd is said in `notes`.
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from ilvf.envs.traffic.network.lights import Light, complaints, green_phases
from ilvf.envs.traffic.network.roads import distances, extension, neighbours
from ilvf.envs.traffic.network.table import (
    Entry,
    check_ids,
    check_phases,
    override_extensions,
    override_neighbours,
    read_table,
)
from ilvf.envs.traffic.simulator.sumo_tools import load_sumolib
from ilvf.errors import UsageError, require


@dataclass(frozen=True)
class Signal:
    """One traffic light that has something to decide.

    Links are ways over the junction, from a lane to a lane: a lane appears once for each way that leads on from it.
    """

    id: str
    phases: tuple[str, ...]  # green states offered as actions, one letter a link index
    link_lanes: tuple[str, ...]  # approach lane of each link, by link index
    link_targets: tuple[str, ...]  # lane that each link leads to
    position: tuple[float, float]  # [m]
    link_indices: tuple[
        int, ...
    ]  # letter of each link in a phase; other letters are for pedestrians

    @property
    def lanes(self) -> tuple[str, ...]:
        """The distinct approach lanes in order of first appearance."""
        return tuple(dict.fromkeys(self.link_lanes))


@dataclass(frozen=True, eq=False)
class Network:
    """What `read_network` finds: N signals and how they hang together."""

    net_file: Path
    signals: tuple[Signal, ...]  # sorted: nt2 before nt10
    neighbours: np.ndarray  # bool [N, N], symmetric, False diagonal
    distance: (
        np.ndarray
    )  # float [N, N] [m] along the roads, centre to centre, the shorter direction; inf: no way
    lane_lengths: dict[
        str, float
    ]  # [m] of the lanes before and after signals, and of the extensions
    extensions: dict[
        str, tuple[str, ...]
    ]  # approach lane → lanes before it that count with it, () if long enough
    notes: tuple[
        str, ...
    ]  # left-out signals, phases with conflicts, links that never open, signals without neighbours

    @property
    def lanes(self) -> tuple[str, ...]:
        """All approach lanes, signal by signal."""
        return tuple(dict.fromkeys(lane for signal in self.signals for lane in signal.lanes))


@dataclass(frozen=True)
class Scenario:
    """The files of a network with its traffic."""

    net_file: Path
    route_files: tuple[Path, ...]
    additional_files: tuple[Path, ...]
    detectors: bool  # there is a lane-area detector on every approach lane, with the lane's id


def read_network(
    net_file: str | Path,
    *,
    table: str | Path | Mapping[str, Any] | None = None,
    add_protected: bool = False,
    max_edges: int = 3,
    max_distance: float = 200.0,
    cover: float = 50.0,
) -> Network:
    """The network of a `.net.xml` or `.net.xml.gz`.

    Args:
        net_file: what SUMO's `netconvert`, `netgenerate` or `netedit` wrote.
        table: overrides of phases, neighbours, extensions: a JSON file or a dictionary as in `ilvf.envs.traffic.network.table`.
        add_protected: offer also, after each phase with links that give way, one in which these alone are green.
        max_edges, max_distance: two signals are neighbours if a car gets from one to the other over at most so many
            edges and metres of road without passing a third.
        cover: an approach lane shorter than this [m] is extended by the lanes before it.
    """
    for name, value in (("max_edges", max_edges), ("max_distance", max_distance), ("cover", cover)):
        require(value >= 0, f"{name}={value:g} must not be negative")
    path, overrides = Path(net_file), read_table(table)
    net = read_file(path)
    lights, notes = _lights(path, net)
    check_ids(overrides, lights)
    phases = {i: _phases(light, overrides.get(i, {}), add_protected) for i, light in lights.items()}
    deciding = {i: light for i, light in lights.items() if len(phases[i]) > 1}
    for i in lights.keys() - deciding.keys():
        notes.append(
            (
                i,
                f"left out, for there is nothing to decide: {_count(len(phases[i]), 'green phase')}",
            )
        )
    for i, light in deciding.items():
        notes += [(i, complaint) for complaint in complaints(light, phases[i])]
    near = override_neighbours(
        neighbours(deciding, max_edges, max_distance), [*deciding], overrides
    )
    notes += [(i, "no neighbours") for i, row in zip(deciding, near, strict=True) if not row.any()]
    written = tuple(_grouped(notes))
    require(
        bool(deciding),
        f"{path} has no signal with two green phases or more: {'; '.join(written) or 'no signals'}",
    )
    extended = _extensions(net, deciding, overrides, cover)
    return Network(
        net_file=path,
        signals=tuple(_signal(light, phases[i]) for i, light in deciding.items()),
        neighbours=near,
        distance=distances(net, deciding),
        lane_lengths=_lengths(deciding, extended),
        extensions={
            lane: tuple(u.getID() for u in upstream) for lane, upstream in extended.items()
        },
        notes=written,
    )


def read_file(path: Path) -> Any:
    """What sumolib makes of a net file."""
    sumolib = load_sumolib()
    require(path.is_file(), f"there is no network {path}")
    try:
        net = sumolib.net.readNet(str(path), withLatestPrograms=True, lxml=False)
    except Exception as error:  # whatever a parser of XML can raise, and sumolib on top of it
        said = f"{error}".splitlines() or [""]
        raise UsageError(
            f"{path} is not a SUMO network: {said[0]} ({type(error).__name__})"
        ) from None
    require(net.getVersion() is not None, f"{path} is not a SUMO network: it has no element <net>")
    missing = [node.getID() for node in net.getNodes() if node.getType() is None]
    require(
        not missing,
        f"{path} is not a SUMO network: edges begin or end at junctions it has not: {missing[:5]}",
    )
    return net


def by_name(signal: str) -> list[Any]:
    """Sorts nt2 before nt10; a number that begins an id is a name (10026 before 8794), for others count on."""
    return [
        int(part) if k % 2 else part for k, part in enumerate(re.split(r"(?<=\D)(\d+)", signal))
    ]


def _lights(path: Path, net: Any) -> tuple[dict[str, Light], list[tuple[str, str]]]:
    """Sorted by name, and what is to be noted of those that are no use."""
    found, notes = dict[str, Light](), list[tuple[str, str]]()
    for tls in sorted(net.getTrafficLights(), key=lambda tls: by_name(tls.getID())):
        own = (c for f, t, k in tls.getConnections() for c in f.getOutgoing() if c.getToLane() is t)
        links = {c: c.getTLLinkIndex() for c in own if c.getTLSID() == tls.getID()}
        program = next(iter(tls.getPrograms().values()), None)
        states = tuple(phase.state for phase in program.getPhases()) if program else ()
        light = Light(tls.getID(), tuple(sorted(links, key=links.__getitem__)), states)
        if not links:
            notes.append((light.id, "left out: no lane leads to it"))
            continue
        fits = len({len(s) for s in states}) < 2 and max(links.values()) < light.width
        require(
            fits,
            f"{path}: signal {light.id} has links up to {max(links.values())}, but states {states[:1]}",
        )
        found[light.id] = light
    return found, notes


def _phases(light: Light, entry: Entry, add_protected: bool) -> tuple[str, ...]:
    if "phases" in entry:
        return check_phases(light, entry["phases"])
    return green_phases(light, add_protected)


def _signal(light: Light, phases: tuple[str, ...]) -> Signal:
    lanes = ((c.getFromLane().getID(), c.getToLane().getID()) for c in light.connections)
    link_lanes, link_targets = zip(*lanes, strict=True)
    indices = tuple(c.getTLLinkIndex() for c in light.connections)
    return Signal(light.id, phases, link_lanes, link_targets, light.position, indices)


def _extensions(
    net: Any, lights: Mapping[str, Light], table: Mapping[str, Entry], cover: float
) -> dict[str, tuple[Any, ...]]:
    """approach lane → the lanes before it, sumolib's."""
    lanes = {
        lane.getID(): lane for edge in net.getEdges(withInternal=False) for lane in edge.getLanes()
    }
    found = {}
    for i, light in lights.items():
        for connection in light.connections:
            lane = connection.getFromLane()
            found[lane.getID()] = extension(lane, cover)
        found |= override_extensions(light, table.get(i, {}).get("extensions", {}), lanes)
    return found


def _lengths(
    lights: Mapping[str, Light], extended: Mapping[str, tuple[Any, ...]]
) -> dict[str, float]:
    links = (c for light in lights.values() for c in light.connections)
    lanes = [lane for c in links for lane in (c.getFromLane(), c.getToLane())]
    return {
        lane.getID(): lane.getLength()
        for lane in (*lanes, *(u for ups in extended.values() for u in ups))
    }


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _grouped(notes: list[tuple[str, str]]) -> list[str]:
    """One line for all signals of which the same is to be said."""
    found = []
    for text, group in groupby(sorted(notes, key=lambda note: note[1]), key=lambda note: note[1]):
        ids = sorted({i for i, _ in group}, key=by_name)
        more = f" and {len(ids) - 4} more" if len(ids) > 4 else ""
        found.append(f"{', '.join(ids[:4])}{more}: {text}")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    from ilvf.envs.traffic.network.maps import show

    parser = argparse.ArgumentParser(
        prog="python -m ilvf.envs.traffic.network", description="what a network offers"
    )
    parser.add_argument("net", type=Path, help="a .net.xml or .net.xml.gz")
    parser.add_argument(
        "--table",
        type=Path,
        help="JSON: phases, neighbours, extensions instead of the derived ones",
    )
    parser.add_argument(
        "--map", type=Path, default="network.png", help="the picture to draw (default: %(default)s)"
    )
    chosen = parser.parse_args(arguments)
    show(read_network(chosen.net, table=chosen.table), chosen.map)
