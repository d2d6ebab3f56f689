"""Traffic lights of a net file: their links, programs, green phases and conflicts.

A state has one letter per link: `G` green, `g` green but gives way, `y` and `Y` yellow, `r` and `R`
red, `u` red and yellow, `s` right turn after a stop, `o` and `O` off.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ilvf.errors import require

LETTERS = "GgyYrRusoO"
GREEN = "Gg"
CHANGING = "yYu"  # a state with one of these is a transition to the next phase
OPEN = "GgsoO"  # vehicles may pass, some of them only after a stop
SHORT = 15.0  # [m] an approach lane with room for two vehicles
SHORT_LANES = (
    f"approach lanes shorter than {SHORT:g} m: the reward queue does not see what waits before "
    "them, link_queue does"
)
PAUSES = "stages of its program that are all red, or clear crossings, are not kept"

Notes = list[tuple[str, str]]  # (signal, what looks odd about it)


@dataclass(frozen=True, eq=False)
class Light:
    """One traffic light of a net file.

    Attributes:
        id: SUMO's id.
        connections: sumolib's connections between lanes, ordered by link index, without pedestrian
            crossings.
        states: the states of its program, in order; empty if it has no program.
    """

    id: str
    connections: tuple[Any, ...]
    states: tuple[str, ...]

    @property
    def width(self) -> int:
        """Number of letters of a state."""
        if self.states:
            return len(self.states[0])
        return 1 + max(connection.getTLLinkIndex() for connection in self.connections)

    @cached_property
    def indices(self) -> tuple[int, ...]:
        """Positions of the letters in a state that belong to links, not to crossings."""
        return tuple(dict.fromkeys(c.getTLLinkIndex() for c in self.connections))

    @cached_property
    def nodes(self) -> tuple[Any, ...]:
        """The junctions that it controls."""
        return tuple(dict.fromkeys(c.getJunction() for c in self.connections))

    @property
    def position(self) -> tuple[float, float]:
        """Mean position of its junctions [m]."""
        x, y = zip(*(node.getCoord() for node in self.nodes), strict=True)
        return sum(x) / len(x), sum(y) / len(y)

    @cached_property
    def foes(self) -> dict[tuple[int, int], str]:
        """Pairs of link indices that exclude each other within a junction → `merge` or `cross`."""
        found = {}
        for node in self.nodes:
            rows = request_rows(node)
            own = [connection for connection in rows if connection.getTLSID() == self.id]
            for a in own:
                for b in own:
                    pair = (a.getTLLinkIndex(), b.getTLLinkIndex())
                    if pair[0] < pair[1] and are_foes(node, rows[a], rows[b]):
                        found[pair] = "merge" if a.getToLane() is b.getToLane() else "cross"
        return found


def by_name(signal: str) -> list[Any]:
    """Sort key of ids: `nt2` comes before `nt10`.

    Numbers are compared as numbers, except where an id begins with one: `10026` comes before
    `8794`.
    """
    parts = re.split(r"(?<=\D)(\d+)", signal)  # text, number, text, number, ...
    return [int(part) if k % 2 else part for k, part in enumerate(parts)]


# ---------------------------------------------------------------------- reading
def find_lights(
    path: Path, net: Any, programs: Mapping[str, tuple[str, ...]]
) -> tuple[dict[str, Light], Notes]:
    """The traffic lights of a network, sorted by name, and notes on those without links.

    Args:
        path: the net file, for error messages.
        net: sumolib's network.
        programs: signal → states that replace those of the net file.

    Raises:
        UsageError: the states of a light do not fit its links.
    """
    lights: dict[str, Light] = {}
    notes: Notes = []
    for tls in sorted(net.getTrafficLights(), key=lambda tls: by_name(tls.getID())):
        links = links_of(tls)
        states = programs.get(tls.getID()) or states_of(tls)
        light = Light(tls.getID(), tuple(sorted(links, key=links.__getitem__)), states)
        if not links:
            notes.append((light.id, "left out: no lane leads to it"))
            continue
        check_states(f"{path}: signal {light.id}", light, max(links.values()))
        lights[light.id] = light
    return lights, notes


def check_states(where: str, light: Light, last: int) -> None:
    """Raise unless the states of a program have a known letter for every link.

    Args:
        where: begins the message.
        light: the traffic light.
        last: its largest link index.
    """
    widths = sorted({len(state) for state in light.states})
    require(
        len(widths) < 2 and last < light.width,
        f"{where} has links up to {last}, but states of {widths} letters; correct its <tlLogic>",
    )
    unknown = sorted(set("".join(light.states)) - set(LETTERS))
    require(
        not unknown,
        f"{where} has {', '.join(unknown)} in its states; SUMO's letters are {LETTERS}",
    )


def links_of(tls: Any) -> dict[Any, int]:
    """sumolib's connections that a traffic light controls → link index."""
    links = {}
    for from_lane, to_lane, _ in tls.getConnections():
        for connection in from_lane.getOutgoing():
            if connection.getToLane() is to_lane and connection.getTLSID() == tls.getID():
                links[connection] = connection.getTLLinkIndex()
    return links


def states_of(tls: Any) -> tuple[str, ...]:
    """The states of a traffic light's program; empty if it has none."""
    program = next(iter(tls.getPrograms().values()), None)
    return tuple(phase.state for phase in program.getPhases()) if program else ()


# ---------------------------------------------------------------------- conflicts
def request_rows(node: Any) -> dict[Any, int]:
    """Connection → its row in the junction's request matrices.

    netconvert numbers the rows lane by lane, in the order of the junction's incoming lanes.
    """
    incoming = {lane.getID(): lane for edge in node.getIncoming() for lane in edge.getLanes()}
    # Incoming lanes that no edge has are pedestrian areas.
    lanes = [incoming[lane] for lane in node._incLanes or () if lane in incoming]
    connections = [connection for lane in lanes for connection in lane.getOutgoing()]
    return {connection: row for row, connection in enumerate(connections)}


def are_foes(node: Any, row: int, other: int) -> bool:
    """Whether two rows of a junction exclude each other. SUMO counts the bits from the right."""
    bits = node._foes.get(row, "")
    place = len(bits) - 1 - other
    return place >= 0 and bits[place] == "1"


# ---------------------------------------------------------------------- phases
def green_phases(light: Light, add_protected: bool = False) -> tuple[str, ...]:
    """The program's distinct states with a green and no yellow, in order.

    Two states are distinct if they differ for vehicles; differences for pedestrians do not count.

    Args:
        light: the traffic light.
        add_protected: after each state that has both `G` and `g`, add one in which its `g` links
            alone are green, as `G`.
    """
    distinct: dict[str, str] = {}
    for state in light.states:
        letters = set(state)
        if not letters & set(GREEN) or letters & set(CHANGING):
            continue
        candidates = [state]
        if add_protected and {"G", "g"} <= letters:
            candidates.append(protected(state))
        for candidate in candidates:
            shown_to_vehicles = "".join(candidate[k] for k in light.indices)
            distinct.setdefault(shown_to_vehicles, candidate)
    return tuple(distinct.values())


def protected(state: str) -> str:
    """The state in which the links that give way are green alone: `Ggr` becomes `rGr`."""
    return "".join({"g": "G", "G": "r"}.get(letter, letter) for letter in state)


def complaints(light: Light, phases: tuple[str, ...]) -> list[str]:
    """What looks odd about a light with these phases.

    `G` links that exclude each other, links that never open, lost pauses, short approach lanes.
    """
    found = []
    for phase in phases:
        for kind in ("cross", "merge"):
            pairs = conflicts(light, phase, kind)
            if pairs:
                listed = ", ".join(f"{a} and {b}" for a, b in pairs)
                found.append(f"phase {phase} is G for links that {kind}: {listed}")
    never = [k for k in light.indices if not any(phase[k] in OPEN for phase in phases)]
    if never:
        found.append(f"links that no phase opens: {', '.join(map(str, never))}")
    if has_pauses(light):
        found.append(PAUSES)
    if any(connection.getFromLane().getLength() < SHORT for connection in light.connections):
        found.append(SHORT_LANES)
    return found


def has_pauses(light: Light) -> bool:
    """Whether its program has stages that are all red, or in which only crossings lose green."""
    first: dict[str, str] = {}  # letters of the links → the first stage that shows them
    for state in light.states:
        letters = set(state)
        if letters & set(CHANGING):
            continue
        if not letters & set(OPEN):
            return True
        shown = first.setdefault("".join(state[k] for k in light.indices), state)
        if any(a in GREEN and b not in GREEN for a, b in zip(shown, state, strict=True)):
            return True
    return False


def conflicts(light: Light, phase: str, kind: str) -> list[tuple[int, int]]:
    """Pairs of links that are both `G` in a phase and exclude each other, sorted."""
    found = []
    for (a, b), foes in light.foes.items():
        if foes == kind and phase[a] == phase[b] == "G":
            found.append((a, b))
    return sorted(found)
