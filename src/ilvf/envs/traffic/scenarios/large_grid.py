"""The 5 x 5 grid of Chu et al. (2019): 25 signals with five phases each, and a peak of traffic.

Two-lane streets run east-west, one-lane avenues north-south. In the first 35 minutes traffic enters
from the north and the west, from minute 15 to minute 50 from the south and the east. Its rate
changes every 5 minutes; it rises to a peak and falls.

    python -m ilvf.envs.traffic.scenarios.large_grid
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from ilvf.envs.traffic.network.network import Scenario
from ilvf.envs.traffic.network.read import read_network
from ilvf.envs.traffic.network.summary import show
from ilvf.envs.traffic.scenarios.markup import element, flow
from ilvf.envs.traffic.simulator.sumo_tools import generated, program_version, run_program
from ilvf.errors import run_recipe

SIDE = 5  # signals per side
BLOCK = 200  # [m] between signals
STUB = 75  # [m] from the outermost signals to the border
STREET = {"id": "a", "priority": 2, "numLanes": 2, "speed": 20}  # east-west; speed [m/s]
AVENUE = {"id": "b", "priority": 1, "numLanes": 1, "speed": 11}  # north-south
PHASES = (  # approaches N, E, S, W, each right, straight, left
    "GGgrrrGGgrrr",  # both avenues, left turns give way
    "rrrGrGrrrGrG",  # street: right and left
    "rrrGGrrrrGGr",  # street: right and straight
    "rrrGGGrrrrrr",  # from the east
    "rrrrrrrrrGGG",  # from the west
)
GREEN = 30  # [s] of each phase in the fixed program, which runs until the signals are controlled
YELLOW = 3  # [s] between its phases
TURNS = {  # (lane, lane it leads to) of right, straight, left
    "a": ((0, 0), (0, 0), (1, 0)),
    "b": ((0, 0), (0, 0), (0, 1)),
}
DETECTOR = (-50, -1)  # [m] from the stop line: the range of a lane's detector

INTERVAL = 300  # [s] of constant demand
VEHICLE = {"id": "type1", "length": 5, "accel": 5, "decel": 10}
STREAMS = (  # first interval, pairs (from, to), vehicles per hour and pair in successive intervals
    (0, ((12, 2), (13, 3), (14, 4)), (264, 461, 594, 660, 495, 330, 165)),  # southbound
    (0, ((16, 6), (18, 8), (20, 10)), (440, 770, 990, 1100, 825, 550, 275)),  # eastbound
    (3, ((2, 14), (3, 13), (4, 12)), (166, 444, 499, 555, 444, 333, 111)),  # northbound
    (3, ((6, 20), (8, 18), (10, 16)), (277, 740, 832, 925, 740, 555, 185)),  # westbound
)
FILES = ("large_grid.net.xml", "large_grid.rou.xml", "large_grid.add.xml")
PLAIN = {"node": "nod", "edge": "edg", "connection": "con", "type": "typ", "tllogic": "tll"}

Place = tuple[int, int]  # (column, row) of the grid; -1 and SIDE are the border


# ---------------------------------------------------------------------- geometry
def name(place: Place) -> str:
    """The id of a place.

    Signals are nt1...nt25, row by row from the south-west. Border nodes are np1...np20: south,
    east, north, west.
    """
    column, row = place
    if row == -1:
        return f"np{column + 1}"
    if column == SIDE:
        return f"np{SIDE + row + 1}"
    if row == SIDE:
        return f"np{3 * SIDE - column}"
    if column == -1:
        return f"np{4 * SIDE - row}"
    return f"nt{SIDE * row + column + 1}"


def position(place: Place) -> tuple[int, int]:
    """(x, y) [m] of a place, with the south-western signal at the origin."""
    column, row = place
    return coordinate(column), coordinate(row)


def coordinate(k: int) -> int:
    """x [m] of a column, or y of a row."""
    if k == -1:
        return -STUB
    if k == SIDE:
        return BLOCK * (SIDE - 1) + STUB
    return BLOCK * k


def signals() -> list[Place]:
    """The places of all signals."""
    return [(column, row) for row in range(SIDE) for column in range(SIDE)]


def around(place: Place) -> tuple[Place, Place, Place, Place]:
    """The places north, east, south and west of a signal."""
    column, row = place
    return (column, row + 1), (column + 1, row), (column, row - 1), (column - 1, row)


def border() -> list[Place]:
    """The places on the border."""
    return sorted({place for signal in signals() for place in around(signal)} - set(signals()))


def roads() -> Iterator[tuple[Place, Place, dict]]:
    """(from, to, STREET or AVENUE) of every one-way road."""
    outside = border()
    for signal in signals():
        for k, other in enumerate(around(signal)):
            kind = STREET if k % 2 else AVENUE
            yield other, signal, kind
            if other in outside:
                yield signal, other, kind


def edge(start: Place, end: Place) -> str:
    """The id of a road."""
    return f"{name(start)}_{name(end)}"


def lanes() -> list[str]:
    """The approach lanes of all signals."""
    inside = signals()
    found = []
    for start, end, kind in roads():
        if end in inside:
            found += [f"{edge(start, end)}_{k}" for k in range(kind["numLanes"])]
    return found


# ---------------------------------------------------------------------- input of netconvert
def nodes() -> str:
    """Signals and border nodes."""
    found = [node(place, "traffic_light") for place in signals()]
    found += [node(place, "priority") for place in border()]
    return element("nodes", *found)


def node(place: Place, kind: str) -> str:
    """One node."""
    x, y = position(place)
    return element("node", id=name(place), x=x, y=y, type=kind)


def types() -> str:
    """The two types of roads."""
    return element("types", element("type", **STREET), element("type", **AVENUE))


def edges() -> str:
    """All roads."""
    found = [
        element("edge", id=edge(a, b), from_=name(a), to=name(b), type=kind["id"])
        for a, b, kind in roads()
    ]
    return element("edges", *found)


def connections() -> str:
    """Right, straight and left from every approach, and no U-turns."""
    found = []
    for signal in signals():
        sides = around(signal)
        for k, start in enumerate(sides):
            ends = (sides[k - 1], sides[k - 2], sides[k - 3])  # right, straight, left
            turns = TURNS["a" if k % 2 else "b"]
            for end, (lane, to_lane) in zip(ends, turns, strict=True):
                way = {"from_": edge(start, signal), "to": edge(signal, end)}
                found.append(element("connection", **way, fromLane=lane, toLane=to_lane))
    return element("connections", *found)


def program() -> str:
    """The fixed program of every signal: the five phases in turn, with yellow between them."""
    phases = []
    for state, following in pairwise((*PHASES, PHASES[0])):
        yellow = "".join(
            "y" if before in "Gg" and after == "r" else before
            for before, after in zip(state, following, strict=True)
        )
        phases.append(element("phase", duration=GREEN, state=state))
        phases.append(element("phase", duration=YELLOW, state=yellow))
    logic = {"programID": "0", "type": "static", "offset": 0}
    found = [element("tlLogic", *phases, id=name(signal), **logic) for signal in signals()]
    return element("tlLogics", *found)


# ---------------------------------------------------------------------- detectors and traffic
def detectors() -> str:
    """A lane-area detector on every approach lane, with the lane's id. It writes no file."""
    start, end = DETECTOR
    where = {"pos": start, "endPos": end, "file": "NUL", "period": 100000}
    found = [element("laneAreaDetector", id=lane, lane=lane, **where) for lane in lanes()]
    return element("additional", *found)


def demand() -> str:
    """Flows from border to border. SUMO chooses routes at departure, by the traffic then."""
    intervals = max(first + len(rates) for first, _, rates in STREAMS)
    flows = []
    for interval in range(intervals):
        number = 0
        for first, pairs, rates in STREAMS:
            if not 0 <= interval - first < len(rates):
                continue
            for start, end in pairs:
                way = {"from_": road_from(f"np{start}"), "to": road_to(f"np{end}")}
                rate = rates[interval - first]
                flows.append(flow(interval, number, INTERVAL, rate, type=VEHICLE["id"], **way))
                number += 1
    return element("routes", element("vType", **VEHICLE), *flows)


def road_from(node: str) -> str:
    """The road that enters the grid at a border node."""
    return next(edge(a, b) for a, b, _ in roads() if name(a) == node)


def road_to(node: str) -> str:
    """The road that leaves the grid at a border node."""
    return next(edge(a, b) for a, b, _ in roads() if name(b) == node)


# ---------------------------------------------------------------------- the scenario
def large_grid(folder: str | Path | None = None) -> Scenario:
    """The scenario's files, which are made on first use.

    Args:
        folder: where to make them; None for the user's cache, `ILVF_CACHE` or `~/.cache/ilvf`.
    """
    plain = {"nod": nodes(), "edg": edges(), "con": connections(), "typ": types(), "tll": program()}
    texts = {FILES[1]: demand(), FILES[2]: detectors()}

    def build(place: Path) -> None:
        for suffix, text in plain.items():
            Path(place, f"plain.{suffix}.xml").write_text(text)
        for file, text in texts.items():
            Path(place, file).write_text(text)
        arguments: list[str] = []
        for kind, suffix in PLAIN.items():
            arguments += [f"--{kind}-files", f"plain.{suffix}.xml"]
        run_program("netconvert", *arguments, "--output-file", FILES[0], folder=place)

    content = "\n".join((*plain.values(), *texts.values(), program_version("netconvert")))
    net, routes, additional = generated(folder, "large_grid", content, FILES, build)
    return Scenario(net, (routes,), (additional,), detectors=True)


def main() -> None:
    """Print and draw the grid."""
    scenario = large_grid()
    show(read_network(scenario.net_file), Path("large_grid.png"))
    print("\nnetwork:", scenario.net_file, "\ntraffic:", *scenario.route_files)
    print("detectors:", *scenario.additional_files)


if __name__ == "__main__":
    run_recipe(main)
