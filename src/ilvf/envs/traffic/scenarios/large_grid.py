"""The 5 x 5 grid of Chu et al. (2019): 25 signals with five phases each, and a peak of traffic.

Two-lane streets run east-west, one-lane avenues north-south. In the first 35 minutes traffic enters
from the north and the west, from minute 15 to minute 50 from the south and the east. Its rate
changes every 5 minutes; it rises to a peak and falls.

    python -m ilvf.envs.traffic.scenarios.large_grid

A grid of another `side` has the same blocks, phases and rates. Traffic enters at all avenues but
the outermost and at every second street, and leaves at the opposite side. What comes from the north
or the west leaves at the mirrored avenue or street.
"""

from itertools import pairwise
from pathlib import Path

from ilvf.envs.traffic.network.network import Scenario
from ilvf.envs.traffic.network.read import read_network
from ilvf.envs.traffic.network.summary import show
from ilvf.envs.traffic.scenarios.grid import AVENUE, STREET, Grid, Place, around
from ilvf.envs.traffic.scenarios.markup import element, flow
from ilvf.envs.traffic.simulator.sumo_tools import generated, program_version, run_program
from ilvf.errors import run_recipe

SIDE = 5  # signals in a row of the published grid
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
STREAMS = (  # side that traffic enters at, first interval, vehicles per hour and pair in each
    ("north", 0, (264, 461, 594, 660, 495, 330, 165)),
    ("west", 0, (440, 770, 990, 1100, 825, 550, 275)),
    ("south", 3, (166, 444, 499, 555, 444, 333, 111)),
    ("east", 3, (277, 740, 832, 925, 740, 555, 185)),
)
FILES = ("large_grid.net.xml", "large_grid.rou.xml", "large_grid.add.xml")
PLAIN = {"node": "nod", "edge": "edg", "connection": "con", "type": "typ", "tllogic": "tll"}


# ---------------------------------------------------------------------- input of netconvert
def nodes(grid: Grid) -> str:
    """Signals and border nodes."""
    found = [node(grid, place, "traffic_light") for place in grid.signals()]
    found += [node(grid, place, "priority") for place in grid.border()]
    return element("nodes", *found)


def node(grid: Grid, place: Place, kind: str) -> str:
    """One node."""
    x, y = grid.position(place)
    return element("node", id=grid.name(place), x=x, y=y, type=kind)


def types() -> str:
    """The two types of roads."""
    return element("types", element("type", **STREET), element("type", **AVENUE))


def edges(grid: Grid) -> str:
    """All roads."""
    found = [
        element("edge", id=grid.edge(a, b), from_=grid.name(a), to=grid.name(b), type=kind["id"])
        for a, b, kind in grid.roads()
    ]
    return element("edges", *found)


def connections(grid: Grid) -> str:
    """Right, straight and left from every approach, and no U-turns."""
    found = []
    for signal in grid.signals():
        sides = around(signal)
        for k, start in enumerate(sides):
            ends = (sides[k - 1], sides[k - 2], sides[k - 3])  # right, straight, left
            turns = TURNS["a" if k % 2 else "b"]
            for end, (lane, to_lane) in zip(ends, turns, strict=True):
                way = {"from_": grid.edge(start, signal), "to": grid.edge(signal, end)}
                found.append(element("connection", **way, fromLane=lane, toLane=to_lane))
    return element("connections", *found)


def program(grid: Grid) -> str:
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
    found = [element("tlLogic", *phases, id=grid.name(x), **logic) for x in grid.signals()]
    return element("tlLogics", *found)


# ---------------------------------------------------------------------- detectors and traffic
def detectors(grid: Grid) -> str:
    """A lane-area detector on every approach lane, with the lane's id. It writes no file."""
    start, end = DETECTOR
    where = {"pos": start, "endPos": end, "file": "NUL", "period": 100000}
    found = [element("laneAreaDetector", id=lane, lane=lane, **where) for lane in grid.lanes()]
    return element("additional", *found)


def demand(grid: Grid) -> str:
    """Flows from border to border. SUMO chooses routes at departure, by the traffic then."""
    intervals = max(first + len(rates) for _, first, rates in STREAMS)
    flows = []
    for interval in range(intervals):
        number = 0
        for side, first, rates in STREAMS:
            if not 0 <= interval - first < len(rates):
                continue
            for start, end in pairs(grid.side, side):
                way = {"from_": grid.entry(start), "to": grid.exit(end)}
                rate = rates[interval - first]
                flows.append(flow(interval, number, INTERVAL, rate, type=VEHICLE["id"], **way))
                number += 1
    return element("routes", element("vType", **VEHICLE), *flows)


def pairs(side: int, enters: str) -> list[tuple[Place, Place]]:
    """Where traffic enters the grid, and where it leaves it.

    Args:
        side: of the grid.
        enters: north, west, south or east.
    """
    last = side - 1
    avenues = range(1, last)
    streets = range(0, side, 2)
    if enters == "north":
        return [((k, side), (last - k, -1)) for k in reversed(avenues)]
    if enters == "west":
        return [((-1, k), (side, last - k)) for k in reversed(streets)]
    if enters == "south":
        return [((k, -1), (k, side)) for k in avenues]
    return [((side, k), (-1, k)) for k in streets]


# ---------------------------------------------------------------------- the scenario
def large_grid(folder: str | Path | None = None, side: int = SIDE) -> Scenario:
    """The scenario's files, which are made on first use.

    Args:
        side: signals in a row, at least 3.
        folder: where to make them; None for the user's cache, `ILVF_CACHE` or `~/.cache/ilvf`.
    """
    grid = Grid(side)
    plain = {
        "nod": nodes(grid),
        "edg": edges(grid),
        "con": connections(grid),
        "typ": types(),
        "tll": program(grid),
    }
    texts = {FILES[1]: demand(grid), FILES[2]: detectors(grid)}

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
