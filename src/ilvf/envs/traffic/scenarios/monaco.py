"""Monaco: 28 signals of a real city centre, each with its own links and phases, and a traffic peak.

The network is a cut of the Monaco SUMO Traffic scenario (MoST) by Chu et al. (2019). MoST is under
the GPL, so this library does not contain the file; it writes the traffic from the published
numbers. `monaco_table.json` has the phases, neighbours and extensions that the publication chose by
hand: neighbours are directed, 11 of 61 in one direction only, and some phases are G for links that
cross. With `table=derived` all three are derived from the network.

    python -m ilvf.envs.traffic.scenarios.monaco --download
    python -m ilvf.envs.traffic.scenarios.monaco --net most.net.xml --table derived
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ilvf.envs.traffic.network.network import Scenario
from ilvf.envs.traffic.network.read import read_file, read_network
from ilvf.envs.traffic.network.summary import show
from ilvf.envs.traffic.network.table import read_table
from ilvf.envs.traffic.scenarios.download import download
from ilvf.envs.traffic.scenarios.markup import element, flow
from ilvf.envs.traffic.simulator.paths import readable_file
from ilvf.envs.traffic.simulator.sumo_tools import cache_folder, generated
from ilvf.errors import require, run_recipe

URL = (  # of one commit, so the content cannot change
    "https://raw.githubusercontent.com/cts198859/deeprl_network/"
    "bf517afdf895786668396c41dac9cb53941ce04c/envs/real_net_data/in/most.net.xml"
)
SHA256 = "f6cac3323549267944b31be1d78e0f10b0f09dc7d5d6cb2a21193638b3a14faa"
PUBLISHED = "published"  # values of the option `table`
DERIVED = "derived"
TABLE = Path(__file__).with_name("monaco_table.json")
HOW_TO_GET_IT = (
    "get it by python -m ilvf.envs.traffic.scenarios.monaco --download, or most.net.xml from "
    "https://github.com/cts198859/deeprl_network, folder envs/real_net_data/in"
)
LISTED = 6  # missing edges or signals that an error message lists

INTERVAL = 300  # [s] of constant demand
RATE = 325  # [vehicles/h] of an active flow
VEHICLE = {"id": "type1", "length": 5, "accel": 5, "decel": 10, "speedDev": 0.1}
# Number of active flows of a group in successive intervals, counted from its first flow.
EARLY = (1, 2, 4, 4, 4, 4, 2, 1, 0, 0, 0)
LATE = (0, 0, 0, 1, 2, 4, 4, 4, 4, 2, 1)
GROUPS = (  # active flows, (from, to, via) of each flow
    (
        EARLY,
        (
            ("-10114#1", "-10079", "10115#2 -10109"),
            ("-10114#1", "-10079", "-10114#0 10108#0 gneE5"),
            ("-10114#1", "-10079", "-10114#0 10108#0 10102"),
            ("-10114#1", "10076", "-10114#0 10107 10102"),
        ),
    ),
    (
        EARLY,
        (
            ("10096#1", "10063", "10089#3"),
            ("-10185#1", "-10071#3", "gneE20"),
            ("10096#1", "10063", "10109"),
            ("-10185#1", "-10061#5", "gneE19"),
        ),
    ),
    (
        LATE,
        (
            ("10052#1", "10104", "10181#1 -10089#3"),
            ("-10064#9", "10104", "-10068 10102"),
            ("-10051#2", "10043", "10181#1 gneE4"),
            ("-10064#9", "-10110", "-10064#4 -10064#3"),
        ),
    ),
    (
        LATE,
        (
            ("10061#4", "-10085", "10065#2 10102"),
            ("10071#3", "10085", "10065#2 -10064#3"),
            ("-10070#1", "-10086", "gneE9"),
            ("-10063", "10085", "gneE8"),
        ),
    ),
)
ROUTES = "monaco.rou.xml"


# ---------------------------------------------------------------------- traffic
def demand() -> str:
    """Flows over given edges."""
    flows = []
    for interval in range(len(EARLY)):
        active = [way for count, ways in GROUPS for way in ways[: count[interval]]]
        for number, (start, end, via) in enumerate(active):
            way = {"from_": start, "to": end, "via": via}
            flows.append(flow(interval, number, INTERVAL, RATE, type=VEHICLE["id"], **way))
    return element("routes", element("vType", **VEHICLE), *flows)


def edges() -> list[str]:
    """Every edge that the demand names, in order of first appearance."""
    names = []
    for _, ways in GROUPS:
        for start, end, via in ways:
            names += [start, *via.split(), end]
    return list(dict.fromkeys(names))


# ---------------------------------------------------------------------- the scenario
def default_net() -> Path:
    """The file that `--download` writes."""
    return cache_folder() / "monaco" / "most.net.xml"


def monaco(
    net_file: str | Path | None = None,
    folder: str | Path | None = None,
    table: str | Path | None = PUBLISHED,
) -> Scenario:
    """The scenario on a network file that the user has.

    Args:
        net_file: the network; None for the one of `--download`.
        folder: where to write the traffic; None for the user's cache, `ILVF_CACHE` or
            `~/.cache/ilvf`.
        table: phases, neighbours and extensions: `published`, `derived` (also None), or a JSON
            file.

    Raises:
        UsageError: there is no such file, or it lacks an edge that the traffic uses or a signal of
            the published table.
    """
    path = monaco_network(net_file, table)
    text = demand()

    def build(place: Path) -> None:
        Path(place, ROUTES).write_text(text)

    (routes,) = generated(folder, "monaco", text, (ROUTES,), build)
    files = {PUBLISHED: TABLE, DERIVED: None}
    return Scenario(path, (routes,), (), detectors=False, table=files.get(str(table), table))


def monaco_network(
    net_file: str | Path | None = None, table: str | Path | None = PUBLISHED
) -> Path:
    """The network file of `monaco`, checked."""
    path = Path(net_file) if net_file is not None else default_net()
    readable_file("there is no Monaco network", path, f": {HOW_TO_GET_IT}")
    net = read_file(path)
    require_edges(path, net)
    if table == PUBLISHED:
        require_signals(path, net)
    return path


def require_edges(path: Path, net: Any) -> None:
    """Raise unless a network has all edges that the traffic uses.

    Args:
        path: its file, for the message.
        net: sumolib's network.
    """
    missing = [edge for edge in edges() if not net.hasEdge(edge)]
    require(
        not missing,
        f"{path} is not the Monaco network: it has no edge {first_of(missing)}, which its traffic "
        f"uses; {HOW_TO_GET_IT}",
    )


def require_signals(path: Path, net: Any) -> None:
    """Raise unless a network has all signals of the published table."""
    known = {light.getID() for light in net.getTrafficLights()}
    missing = [signal for signal in read_table(TABLE) if signal not in known]
    require(
        not missing,
        f"{path} has no signal {first_of(missing)}, which the published table is about; "
        "env.table=derived derives phases and neighbours from the network",
    )


def first_of(missing: Sequence[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(missing) - LISTED} more" if len(missing) > LISTED else ""
    return f"{', '.join(missing[:LISTED])}{more}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command with `arguments`, or with those of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m ilvf.envs.traffic.scenarios.monaco", description="the scenario of Monaco"
    )
    parser.add_argument(
        "--net", type=Path, help="its network (default: monaco/most.net.xml in the cache)"
    )
    parser.add_argument("--download", action="store_true", help="download that file first")
    parser.add_argument("--url", default=URL, help="where from (default: %(default)s)")
    parser.add_argument("--sha256", default=SHA256, help="its SHA-256 (default: %(default)s)")
    parser.add_argument(
        "--table",
        default=PUBLISHED,
        help="phases, neighbours and extensions: published, derived, or a JSON file "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--map", type=Path, default="monaco.png", help="the picture to draw (default: %(default)s)"
    )
    chosen = parser.parse_args(arguments)
    net = chosen.net or default_net()
    if chosen.download:
        download(chosen.url, net, chosen.sha256)
    scenario = monaco(net, table=chosen.table)
    show(read_network(scenario.net_file, table=scenario.table), chosen.map)
    print("\nnetwork:", scenario.net_file, "\ntraffic:", *scenario.route_files)


if __name__ == "__main__":
    run_recipe(main)
