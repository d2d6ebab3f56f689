"""The 5 x 5 grid of Chu et al. (2019): 25 signals, five phases each, two streams of traffic that cross it.

Two-lane streets run east-west, one-lane avenues north-south. In the first 35 minutes traffic enters from the north and
the west, from the 15th to the 50th from the south and the east; it rises to a peak and falls, every 5 minutes.

    python -m ilvf.envs.traffic.scenarios.large_grid
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import quoteattr

from ilvf.envs.traffic.network.maps import show
from ilvf.envs.traffic.network.network import Scenario, read_network
from ilvf.envs.traffic.simulator.sumo_tools import generated, program_version, run_program
from ilvf.errors import run_recipe

SIDE = 5  # signals a side
BLOCK, STUB = 200, 75  # [m] between signals; from the outermost signals to the border
STREET = {"id": "a", "priority": 2, "numLanes": 2, "speed": 20}  # east-west; speed [m/s]
AVENUE = {"id": "b", "priority": 1, "numLanes": 1, "speed": 11}  # north-south
PHASES = (  # approaches N, E, S, W, each right, straight, left
    "GGgrrrGGgrrr",  # both avenues, left permissive
    "rrrGrGrrrGrG",  # street: right and left
    "rrrGGrrrrGGr",  # street: right and straight
    "rrrGGGrrrrrr",  # from the east
    "rrrrrrrrrGGG",  # from the west
)
GREEN, YELLOW = 30, 3  # [s] of the program that runs until somebody controls the signals
TURNS = {  # (lane, lane it leads to) of right, straight, left
    "a": ((0, 0), (0, 0), (1, 0)),
    "b": ((0, 0), (0, 0), (0, 1)),
}
DETECTOR = (-50, -1)  # [m] from the stop line: the range of a lane's detector

INTERVAL = 300  # [s] of constant demand
VEHICLE = {"id": "type1", "length": 5, "accel": 5, "decel": 10}
STREAMS = (  # (first interval, from -> to, vehicles an hour on each such pair, interval by interval)
    (0, ((12, 2), (13, 3), (14, 4)), (264, 461, 594, 660, 495, 330, 165)),  # southbound
    (0, ((16, 6), (18, 8), (20, 10)), (440, 770, 990, 1100, 825, 550, 275)),  # eastbound
    (3, ((2, 14), (3, 13), (4, 12)), (166, 444, 499, 555, 444, 333, 111)),  # northbound
    (3, ((6, 20), (8, 18), (10, 16)), (277, 740, 832, 925, 740, 555, 185)),  # westbound
)
FILES = ("large_grid.net.xml", "large_grid.rou.xml", "large_grid.add.xml")

Place = tuple[int, int]  # (column, row) of the grid: -1 and SIDE are the border


def name(place: Place) -> str:
    """nt1...nt25 row by row from the south-west; np1...np20 on the border: south, east, north, west."""
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
    """(x, y) [m] of a place, the south-western signal at the origin."""
    far = BLOCK * (SIDE - 1) + STUB
    x, y = (-STUB if k == -1 else far if k == SIDE else BLOCK * k for k in place)
    return x, y


def signals() -> list[Place]:
    return [(column, row) for row in range(SIDE) for column in range(SIDE)]


def around(place: Place) -> tuple[Place, Place, Place, Place]:
    """North, east, south, west of a signal."""
    column, row = place
    return (column, row + 1), (column + 1, row), (column, row - 1), (column - 1, row)


def border() -> list[Place]:
    return sorted({p for signal in signals() for p in around(signal)} - set(signals()))


def roads() -> Iterator[tuple[Place, Place, dict]]:
    """(from, to, STREET or AVENUE) of every one-way road."""
    for signal in signals():
        for k, other in enumerate(around(signal)):
            kind = STREET if k % 2 else AVENUE
            yield other, signal, kind
            if other in border():
                yield signal, other, kind


def edge(start: Place, end: Place) -> str:
    return f"{name(start)}_{name(end)}"


def lanes() -> list[str]:
    """The approach lanes of all signals."""
    into = [(start, end, kind) for start, end, kind in roads() if end in signals()]
    return [f"{edge(start, end)}_{k}" for start, end, kind in into for k in range(kind["numLanes"])]


def element(tag: str, *children: str, **attributes: object) -> str:
    """One XML element; `from_` is the attribute `from`."""
    words = "".join(f" {k.rstrip('_')}={quoteattr(str(v))}" for k, v in attributes.items())
    if not children:
        return f"<{tag}{words}/>"
    inside = "".join(f"  {line}\n" for child in children for line in child.splitlines())
    return f"<{tag}{words}>\n{inside}</{tag}>"


def nodes() -> str:
    def node(place: Place, kind: str) -> str:
        x, y = position(place)
        return element("node", id=name(place), x=x, y=y, type=kind)

    inner = [node(place, "traffic_light") for place in signals()]
    return element("nodes", *inner, *(node(place, "priority") for place in border()))


def types() -> str:
    return element("types", element("type", **STREET), element("type", **AVENUE))


def edges() -> str:
    found = (
        element("edge", id=edge(a, b), from_=name(a), to=name(b), type=kind["id"])
        for a, b, kind in roads()
    )
    return element("edges", *found)


def connections() -> str:
    """Right, straight and left from every approach; nobody turns round."""
    found = []
    for signal in signals():
        sides = around(signal)
        for k, start in enumerate(sides):
            ends = (
                sides[k - 1],
                sides[k - 2],
                sides[k - 3],
            )  # right, straight, left of who comes from side k
            turns = TURNS["a" if k % 2 else "b"]
            for end, (lane, to_lane) in zip(ends, turns, strict=True):
                roads_ = {"from_": edge(start, signal), "to": edge(signal, end)}
                found.append(element("connection", **roads_, fromLane=lane, toLane=to_lane))
    return element("connections", *found)


def program() -> str:
    """The five phases in turn, each left through yellow, at every signal."""
    phases = []
    for state, following in pairwise((*PHASES, PHASES[0])):
        yellow = "".join(
            "y" if a in "Gg" and b == "r" else a for a, b in zip(state, following, strict=True)
        )
        phases.append(element("phase", duration=GREEN, state=state))
        phases.append(element("phase", duration=YELLOW, state=yellow))
    logic = {"programID": "0", "type": "static", "offset": 0}
    return element(
        "tlLogics", *(element("tlLogic", *phases, id=name(s), **logic) for s in signals())
    )


def detectors() -> str:
    """A lane-area detector on every approach lane, with the lane's id, that writes nothing."""
    start, end = DETECTOR
    where = {"pos": start, "endPos": end, "file": "NUL", "period": 100000}
    return element(
        "additional",
        *(element("laneAreaDetector", id=lane, lane=lane, **where) for lane in lanes()),
    )


def demand() -> str:
    """Flows from border to border, f{interval}_{k}; who drives where is found at departure, by the traffic then."""
    at = {
        name(place): (place, next(p for p in around(place) if p in signals())) for place in border()
    }
    last = max(first + len(rates) for first, _, rates in STREAMS)
    flows = []
    for interval in range(last):
        active = [
            (p, r[interval - i])
            for i, pairs, r in STREAMS
            if 0 <= interval - i < len(r)
            for p in pairs
        ]
        for k, ((start, end), rate) in enumerate(active):
            (outside, inside), (target, before) = at[f"np{start}"], at[f"np{end}"]
            way = {
                "from_": edge(outside, inside),
                "to": edge(before, target),
                "departPos": "random_free",
            }
            when = {
                "begin": INTERVAL * interval,
                "end": INTERVAL * (interval + 1),
                "vehsPerHour": rate,
            }
            flows.append(element("flow", id=f"f{interval}_{k}", type=VEHICLE["id"], **way, **when))
    return element("routes", element("vType", **VEHICLE), *flows)


def large_grid(folder: str | Path | None = None) -> Scenario:
    """The scenario's files, made on first use in `folder` (the user's cache: `ILVF_CACHE` or `~/.cache/ilvf`)."""
    plain = {"nod": nodes(), "edg": edges(), "con": connections(), "typ": types(), "tll": program()}
    others = dict(zip(FILES[1:], (demand(), detectors()), strict=True))

    def build(place: Path) -> None:
        for suffix, text in plain.items():
            Path(place, f"plain.{suffix}.xml").write_text(text)
        for file, text in others.items():
            Path(place, file).write_text(text)
        inputs = {
            "node": "nod",
            "edge": "edg",
            "connection": "con",
            "type": "typ",
            "tllogic": "tll",
        }
        options = (
            word for k, v in inputs.items() for word in (f"--{k}-files", place / f"plain.{v}.xml")
        )
        run_program("netconvert", *options, "--output-file", place / FILES[0])

    content = "\n".join((*plain.values(), *others.values(), program_version("netconvert")))
    net, routes, additional = generated(folder, "large_grid", content, FILES, build)
    return Scenario(net, (routes,), (additional,), detectors=True)


def main() -> None:
    scenario = large_grid()
    show(read_network(scenario.net_file), Path("large_grid.png"))
    print("\nnetwork:", scenario.net_file, "\ntraffic:", *scenario.route_files)
    print("detectors:", *scenario.additional_files)


if __name__ == "__main__":
    run_recipe(main)
