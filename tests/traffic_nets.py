"""Small road networks, made on the spot by SUMO's own programs."""

import xml.etree.ElementTree as ET
from pathlib import Path

from ilvf.envs.traffic.scenarios import monaco
from ilvf.envs.traffic.simulator.sumo_tools import run_program


def convert(
    folder: Path, nodes: dict, edges: list, programs: dict, lanes: dict | None = None
) -> Path:
    """A net file from {node: (x, y)}, one-way ["from_to", ...], {signal: its states}, {edge: its lanes, not 1}."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds = {node: "traffic_light" if node in programs else "priority" for node in nodes}
    texts = {
        "node": [
            f'<node id="{n}" x="{x}" y="{y}" type="{kinds[n]}"/>' for n, (x, y) in nodes.items()
        ],
        "edge": [
            f'<edge id="{e}" from="{e.split("_")[0]}" to="{e.split("_")[1]}" numLanes="{(lanes or {}).get(e, 1)}"/>'
            for e in edges
        ],
        "tllogic": [
            f'<tlLogic id="{signal}" programID="0" type="static" offset="0">'
            + "".join(f'<phase duration="10" state="{state}"/>' for state in states)
            + "</tlLogic>"
            for signal, states in programs.items()
        ],
    }
    options = ["--no-turnarounds", "true", "--offset.disable-normalization", "true"]
    for kind, lines in texts.items():
        file = folder / f"{kind}.xml"
        file.write_text(f"<{kind}s>{''.join(lines)}</{kind}s>")
        options += [f"--{kind}-files", file]
    net = folder / "tiny.net.xml"
    run_program("netconvert", *options, "--output-file", net)
    return net


def tiny(folder: Path) -> Path:
    """One-way streets: a row of three signals and one that never changes, and a crossing far from them.

        a -> J1 ------> k -> m -> J2 -------> J5 -----------> J3 -> b      J5 has one phase
             ^                    ^           ^               ^
             s1                   s2          s5              s3           c -> J4 -> d crossed by e -> J4 -> f
    x [m]    0          100 115   140         300             600
    """
    nodes = {"a": (-200, 0), "J1": (0, 0), "k": (100, 0), "m": (115, 0), "J2": (140, 0)}
    nodes |= {"J5": (300, 0), "J3": (600, 0), "b": (700, 0)}
    nodes |= {"s1": (0, -40), "s2": (140, -100), "s5": (300, -100), "s3": (600, -100)}
    nodes |= {"J4": (0, 1000), "c": (-100, 1000), "d": (100, 1000), "e": (0, 900), "f": (0, 1100)}
    edges = [
        "a_J1",
        "J1_k",
        "k_m",
        "m_J2",
        "J2_J5",
        "J5_J3",
        "J3_b",
        "s1_J1",
        "s2_J2",
        "s5_J5",
        "s3_J3",
    ]
    edges += ["c_J4", "J4_d", "e_J4", "J4_f"]
    programs = {  # link 0 comes from the south, link 1 from the west
        "J1": ("Gr", "yr", "rG", "ry", "Gr", "uG"),  # one green twice
        "J2": ("Gg", "yy", "rG", "ry", "rr", "gg"),
        "J3": ("Gg", "yg", "Gr", "yr"),
        "J4": (
            "GGGG",
            "yyyy",
            "GGrr",
            "yyrr",
            "rrrr",
        ),  # links 0, 1 from the south, 2, 3 from the west: all at once
        "J5": ("GG",),
    }
    return convert(folder, nodes, edges, programs)


def irregular(folder: Path, *options: str, seed: int = 3, iterations: int = 60) -> Path:
    """A random city with about thirty signals: streets of one to three lanes, junctions of three to five arms."""
    folder.mkdir(parents=True, exist_ok=True)
    net = folder / "irregular.net.xml"
    rules = [
        "--rand",
        "--rand.iterations",
        str(iterations),
        "--seed",
        str(seed),
        "-L",
        "3",
        "--random-lanenumber",
    ]
    run_program(
        "netgenerate",
        *rules,
        "--default-junction-type",
        "traffic_light",
        *options,
        "--output-file",
        net,
    )
    return net


def like_monaco(folder: Path, seed: int = 3) -> Path:
    """An irregular city whose edges bear the names that Monaco's traffic goes over."""
    tree = ET.parse(irregular(folder, seed=seed))
    root = tree.getroot()
    old = sorted(e.get("id") for e in root.iter("edge") if e.get("function") is None)
    names = dict(zip(old, monaco.edges(), strict=False))
    assert len(names) == len(monaco.edges())

    def lane(name: str) -> str:
        edge, _, index = name.rpartition("_")
        return f"{names.get(edge, edge)}_{index}"

    for edge in root.iter("edge"):
        edge.set("id", names.get(edge.get("id"), edge.get("id")))
        for one in edge.iter("lane"):
            one.set("id", lane(one.get("id")))
    for connection in root.iter("connection"):
        for end in ("from", "to"):
            connection.set(end, names.get(connection.get(end), connection.get(end)))
    for junction in root.iter("junction"):
        junction.set("incLanes", " ".join(map(lane, junction.get("incLanes").split())))
    net = folder / "like_monaco.net.xml"
    tree.write(net)
    return net
