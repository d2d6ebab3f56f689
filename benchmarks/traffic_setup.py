"""The 5 x 5 grid of the traffic benchmarks: its files and its network."""

from pathlib import Path

from ilvf.envs.traffic import read_network
from ilvf.envs.traffic.scenarios.large_grid import PHASES

DATA = Path(__file__).parents[1] / "tests" / "reference"
NET_FILE = DATA / "large_grid.net.xml.gz"
FILES = {
    "routes": [DATA / "large_grid.rou.xml"],
    "additional": [DATA / "large_grid.add.xml"],
    "detectors": True,
}
TRACE = DATA / "atsc_01_cycle.npz"
TURN = 10  # steps that each variant takes before the next one does


def network():
    """The grid with the phases of the published environment."""
    phases = {"phases": list(PHASES)}
    signals = {f"nt{k}": phases for k in range(1, 26)}
    return read_network(NET_FILE, table={"signals": signals})
