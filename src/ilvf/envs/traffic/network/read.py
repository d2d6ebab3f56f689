"""Read any SUMO network: its signals, the phases they choose from, their lanes and neighbours.

Everything is derived from the net file by rules. The rules have arguments, a table (JSON) can
override their results, and `Network.notes` lists what looks odd.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from ilvf.envs.options import ReadingOptions
from ilvf.envs.traffic.network.lights import (
    Light,
    Notes,
    by_name,
    complaints,
    find_lights,
    green_phases,
)
from ilvf.envs.traffic.network.network import Network, Signal
from ilvf.envs.traffic.network.programs import read_programs
from ilvf.envs.traffic.network.roads import distances, extension, neighbours
from ilvf.envs.traffic.network.table import (
    Entry,
    check_ids,
    check_phases,
    override_extensions,
    override_neighbours,
    read_table,
)
from ilvf.envs.traffic.simulator.paths import existing_files, named, readable_file
from ilvf.envs.traffic.simulator.sumo_tools import load_sumolib
from ilvf.errors import UsageError, require

LISTED = 4  # signals that a note names

Files = str | Path | Sequence[str | Path]


def read_network(
    net_file: str | Path,
    *,
    table: str | Path | Mapping[str, Any] | None = ReadingOptions.table,
    add_protected: bool = ReadingOptions.add_protected,
    max_edges: int = ReadingOptions.max_edges,
    max_distance: float = ReadingOptions.max_distance,
    cover: float = ReadingOptions.cover,
    additional: Files = (),
) -> Network:
    """The network of a `.net.xml` or `.net.xml.gz`. Defaults are those of `ReadingOptions`.

    Args:
        net_file: a file written by SUMO's `netconvert`, `netgenerate` or `netedit`.
        table: phases, neighbours and extensions that override the derived ones: a JSON file or a
            dictionary, as in `ilvf.envs.traffic.network.table`.
        add_protected: after each phase with links that give way, also offer one in which these
            links alone are green.
        max_edges: two signals are neighbours if a car gets from one to the other, without passing
            a third, over at most so many edges
        max_distance: and so many metres.
        cover: an approach lane shorter than this [m] counts with the lanes before it.
        additional: file with more of SUMO's elements, or several. Signal programs in it replace
            those of the net file, as in SUMO.

    Raises:
        UsageError: a file or the table is missing or broken, a number is negative or NaN, or no
            signal has two green phases.
    """
    for name, value in (("max_edges", max_edges), ("max_distance", max_distance), ("cover", cover)):
        require(value >= 0, f"{name}={value:g} must be at least 0, not negative or nan")
    path = Path(net_file)
    overrides = read_table(table)
    additional_files = existing_files("additional", additional)
    programs = read_programs(additional_files)
    net = read_file(path)
    lights, notes = find_lights(path, net, programs)
    check_ids(overrides, lights)
    phases = {
        i: phases_of(light, overrides.get(i, {}), add_protected) for i, light in lights.items()
    }
    deciding = {i: light for i, light in lights.items() if len(phases[i]) > 1}
    derived = lists_of(neighbours(deciding, max_edges, max_distance))
    near = override_neighbours(derived, list(deciding), overrides)
    notes += notes_on_phases(lights, phases)
    notes += [(i, "no neighbours") for i, others in zip(deciding, near, strict=True) if not others]
    lines = grouped(notes)
    require(
        bool(deciding),
        f"{path} has no signal with two green phases or more: {'; '.join(lines) or 'no signals'}",
    )
    upstream = upstream_lanes(net, deciding, overrides, cover)
    return Network(
        net_file=path,
        signals=tuple(signal_of(light, phases[i]) for i, light in deciding.items()),
        neighbour_lists=near,
        distance=distances(net, deciding),
        lane_lengths=lengths_of(deciding, upstream),
        extensions={lane: tuple(u.getID() for u in lanes) for lane, lanes in upstream.items()},
        notes=tuple(lines),
        additional_files=tuple(additional_files),
        programs=programs,
    )


def read_file(path: Path) -> Any:
    """sumolib's network of a net file.

    Raises:
        UsageError: there is no such file, or it is not a complete SUMO network.
    """
    sumolib = load_sumolib()
    readable_file("there is no network", path)
    try:
        net = sumolib.net.readNet(str(path), withLatestPrograms=True, lxml=False)
    except Exception as error:  # an XML parser and sumolib can raise anything on a broken file
        lines = f"{error}".splitlines() or [""]
        raise UsageError(
            f"{named(path)} is not a SUMO network: {lines[0]} ({type(error).__name__})"
        ) from None
    require(net.getVersion() is not None, f"{path} is not a SUMO network: it has no element <net>")
    missing = [node.getID() for node in net.getNodes() if node.getType() is None]
    require(
        not missing,
        f"{path} is not a SUMO network: edges begin or end at junctions that it does not define: "
        f"{missing[:5]}",
    )
    for edge in net.getEdges():
        for lane in edge.getLanes():
            check_lane(path, lane)
    return net


def check_lane(path: Path, lane: Any) -> None:
    """Raise unless a lane has a length, a speed and a shape."""
    for name, value in (("length", lane.getLength()), ("speed", lane.getSpeed())):
        require(
            math.isfinite(value) and value >= 0,
            f"{named(path)}: lane {lane.getID()} has {name}={value:g}; correct it",
        )
    require(
        len(lane.getShape()) > 1,
        f"{named(path)}: lane {lane.getID()} has a shape of fewer than two points; correct it",
    )


def phases_of(light: Light, entry: Entry, add_protected: bool) -> tuple[str, ...]:
    """The phases of a light: the table's, or else those of its program."""
    if "phases" in entry:
        return check_phases(light, entry["phases"])
    return green_phases(light, add_protected)


def lists_of(neighbours: np.ndarray) -> list[tuple[int, ...]]:
    """The columns that are True in each row of a bool `[N, N]`."""
    return [tuple(row.nonzero()[0].tolist()) for row in neighbours]


def signal_of(light: Light, phases: tuple[str, ...]) -> Signal:
    """The agent that controls a light."""
    return Signal(
        id=light.id,
        phases=phases,
        link_lanes=tuple(c.getFromLane().getID() for c in light.connections),
        link_targets=tuple(c.getToLane().getID() for c in light.connections),
        position=light.position,
        link_indices=tuple(c.getTLLinkIndex() for c in light.connections),
    )


def upstream_lanes(
    net: Any, lights: Mapping[str, Light], table: Mapping[str, Entry], cover: float
) -> dict[str, tuple[Any, ...]]:
    """Approach lane → sumolib's lanes that extend it; the table overrides the derived ones."""
    edges = net.getEdges(withInternal=False)
    lanes = {lane.getID(): lane for edge in edges for lane in edge.getLanes()}
    found = {}
    for i, light in lights.items():
        for connection in light.connections:
            lane = connection.getFromLane()
            found[lane.getID()] = extension(lane, cover)
        if "extensions" in table.get(i, {}):
            found |= override_extensions(light, table[i]["extensions"], lanes)
    return found


def lengths_of(
    lights: Mapping[str, Light], upstream: Mapping[str, tuple[Any, ...]]
) -> dict[str, float]:
    """Length [m] of the lanes that links come from and lead to, and of the extensions."""
    lanes = []
    for light in lights.values():
        for connection in light.connections:
            lanes += [connection.getFromLane(), connection.getToLane()]
    for extending in upstream.values():
        lanes += extending
    return {lane.getID(): lane.getLength() for lane in lanes}


# ---------------------------------------------------------------------- notes
def notes_on_phases(lights: Mapping[str, Light], phases: Mapping[str, tuple[str, ...]]) -> Notes:
    """Notes on lights without a choice, and on odd phases of the others."""
    notes: Notes = []
    for i, light in lights.items():
        count = len(phases[i])
        if count > 1:
            notes += [(i, complaint) for complaint in complaints(light, phases[i])]
            continue
        green = "1 green phase" if count == 1 else f"{count} green phases"
        notes.append((i, f"left out, for there is nothing to decide: {green}"))
    return notes


def grouped(notes: Notes) -> list[str]:
    """One line per text, with the signals that it is about."""
    lines = []
    for text, group in groupby(sorted(notes, key=lambda note: note[1]), key=lambda note: note[1]):
        signals = sorted({signal for signal, _ in group}, key=by_name)
        more = f" and {len(signals) - LISTED} more" if len(signals) > LISTED else ""
        lines.append(f"{', '.join(signals[:LISTED])}{more}: {text}")
    return lines
