"""Small road networks and their traffic, made by SUMO's own programs."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ilvf.envs.traffic.network.table import read_table
from ilvf.envs.traffic.scenarios import monaco
from ilvf.envs.traffic.simulator.sumo_tools import run_program

FLOW = '<flow id="{}" from="{}" to="{}" begin="0" end="{}" {}/>'


def convert(
    folder: Path,
    nodes: Mapping[str, tuple[float, float]],
    edges: Sequence[str],
    programs: Mapping[str, Sequence[str]],
    lanes: Mapping[str, int] | None = None,
) -> Path:
    """A net file of one-way roads.

    Args:
        folder: where to write it.
        nodes: id → (x, y) [m].
        edges: "FROM_TO" for every road.
        programs: signal → the states of its program.
        lanes: edge → number of lanes, where that is not 1.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lanes = lanes or {}
    texts = {
        "node": [node(n, x, y, signal=n in programs) for n, (x, y) in nodes.items()],
        "edge": [edge(e, lanes.get(e, 1)) for e in edges],
        "tllogic": [program(signal, states) for signal, states in programs.items()],
    }
    options: list[str | Path] = []
    for kind, lines in texts.items():
        file = folder / f"{kind}.xml"
        file.write_text(f"<{kind}s>{''.join(lines)}</{kind}s>")
        options += [f"--{kind}-files", file]
    options += ["--no-turnarounds", "true", "--offset.disable-normalization", "true"]
    net = folder / "tiny.net.xml"
    run_program("netconvert", *options, "--output-file", net)
    return net


def node(name: str, x: float, y: float, signal: bool) -> str:
    kind = "traffic_light" if signal else "priority"
    return f'<node id="{name}" x="{x}" y="{y}" type="{kind}"/>'


def edge(name: str, lanes: int) -> str:
    start, end = name.split("_")
    return f'<edge id="{name}" from="{start}" to="{end}" numLanes="{lanes}"/>'


def program(signal: str, states: Sequence[str]) -> str:
    phases = "".join(f'<phase duration="10" state="{state}"/>' for state in states)
    return f'<tlLogic id="{signal}" programID="0" type="static" offset="0">{phases}</tlLogic>'


def tiny(folder: Path) -> Path:
    """One-way streets: a row of four signals, one of which has one phase, and a crossing far off.

        a -> J1 ------> k -> m -> J2 -------> J5 -----------> J3 -> b      J5 has one phase
             ^                    ^           ^               ^
             s1                   s2          s5              s3           c -> J4 -> d
    x [m]    0          100 115   140         300             600          e -> J4 -> f
    """
    nodes = {
        "a": (-200, 0),
        "J1": (0, 0),
        "k": (100, 0),
        "m": (115, 0),
        "J2": (140, 0),
        "J5": (300, 0),
        "J3": (600, 0),
        "b": (700, 0),
        "s1": (0, -40),
        "s2": (140, -100),
        "s5": (300, -100),
        "s3": (600, -100),
        "J4": (0, 1000),
        "c": (-100, 1000),
        "d": (100, 1000),
        "e": (0, 900),
        "f": (0, 1100),
    }
    row = "a_J1 J1_k k_m m_J2 J2_J5 J5_J3 J3_b"
    from_south = "s1_J1 s2_J2 s5_J5 s3_J3"
    crossing = "c_J4 J4_d e_J4 J4_f"
    edges = f"{row} {from_south} {crossing}".split()
    programs = {  # link 0 comes from the south, link 1 from the west
        "J1": ("Gr", "yr", "rG", "ry", "Gr", "uG"),  # one green twice
        "J2": ("Gg", "yy", "rG", "ry", "rr", "gg"),
        "J3": ("Gg", "yg", "Gr", "yr"),
        # Links 0 and 1 come from the south, 2 and 3 from the west; the first state opens all.
        "J4": ("GGGG", "yyyy", "GGrr", "yyrr", "rrrr"),
        "J5": ("GG",),
    }
    return convert(folder, nodes, edges, programs)


def irregular(folder: Path, *options: str, seed: int = 3, iterations: int = 60) -> Path:
    """A random city: streets of one to three lanes, junctions of three to five arms.

    It has about thirty signals after 60 iterations.
    """
    folder.mkdir(parents=True, exist_ok=True)
    net = folder / "irregular.net.xml"
    size = ["--rand.iterations", str(iterations), "-L", "3", "--random-lanenumber"]
    run_program(
        "netgenerate",
        "--rand",
        *size,
        "--seed",
        str(seed),
        "--default-junction-type",
        "traffic_light",
        *options,
        "--output-file",
        net,
    )
    return net


def grid(folder: Path, *options: str) -> Path:
    """A grid of three by three junctions, A0 to C2, with the edges A0A1 and so on."""
    net = folder / "grid.net.xml"
    size = ["--grid", "--grid.number", "3"]
    run_program("netgenerate", *size, *options, "--output-file", net)
    return net


def town(folder: Path, vehicles_per_hour: int) -> tuple[Path, Path]:
    """An irregular network with seven signals, 9 to 29 links and 2 to 4 phases, and its traffic.

    Twenty flows between random edges depart for ten minutes.

    Returns:
        The net file and the route file.
    """
    import sumolib

    net = irregular(folder, iterations=16, seed=5)
    routes = folder / "town.rou.xml"
    edges = sorted(e.getID() for e in sumolib.net.readNet(str(net)).getEdges())
    rng = np.random.default_rng(0)
    ends = [rng.choice(edges, 2, replace=False) for _ in range(20)]
    rate = f'vehsPerHour="{vehicles_per_hour}" departPos="random_free"'
    write_routes(routes, [FLOW.format(k, *pair, 600, rate) for k, pair in enumerate(ends)])
    return net, routes


def write_routes(file: Path, elements: Sequence[str]) -> Path:
    """A route file with these elements."""
    file.write_text(f"<routes>{''.join(elements)}</routes>")
    return file


def like_monaco(folder: Path, seed: int = 3) -> Path:
    """An irregular city with the names of Monaco's edges and signals, but other phases."""
    tree = ET.parse(irregular(folder, seed=seed))
    root = tree.getroot()
    old = sorted(e.get("id") for e in root.iter("edge") if e.get("function") is None)
    names = dict(zip(old, monaco.edges(), strict=False))
    assert len(names) == len(monaco.edges())

    def lane(name: str) -> str:
        road, _, index = name.rpartition("_")
        return f"{names.get(road, road)}_{index}"

    for road in root.iter("edge"):
        road.set("id", names.get(road.get("id"), road.get("id")))
        for one in road.iter("lane"):
            one.set("id", lane(one.get("id")))
    lights = [light.get("id") for light in root.iter("tlLogic")]
    signals = dict(zip(lights, read_table(monaco.TABLE), strict=False))
    assert len(signals) == 28
    for light in root.iter("tlLogic"):
        light.set("id", signals.get(light.get("id"), light.get("id")))
    for connection in root.iter("connection"):
        if connection.get("tl"):
            connection.set("tl", signals.get(connection.get("tl"), connection.get("tl")))
        for end in ("from", "to"):
            connection.set(end, names.get(connection.get(end), connection.get(end)))
    for junction in root.iter("junction"):
        junction.set("incLanes", " ".join(map(lane, junction.get("incLanes").split())))
    net = folder / "like_monaco.net.xml"
    tree.write(net)
    return net
