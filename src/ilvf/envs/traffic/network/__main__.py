"""python -m ilvf.envs.traffic.network FILE.net.xml: print and draw what a road network offers."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ilvf.envs.traffic.network.read import read_network
from ilvf.envs.traffic.network.summary import show
from ilvf.errors import run_recipe


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command with `arguments`, or with those of the command line."""
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
        "--additional",
        nargs="*",
        default=[],
        help="additional files, whose signal programs replace those of the net file",
    )
    parser.add_argument(
        "--map", type=Path, default="network.png", help="the picture to draw (default: %(default)s)"
    )
    chosen = parser.parse_args(arguments)
    network = read_network(chosen.net, table=chosen.table, additional=chosen.additional)
    show(network, chosen.map)


if __name__ == "__main__":
    run_recipe(main)
