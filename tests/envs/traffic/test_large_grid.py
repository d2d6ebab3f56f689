"""The generated large grid equals the published files, element by element."""

import gzip
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from helpers import ROOT
from ilvf.envs.traffic import read_network
from ilvf.envs.traffic.scenarios import large_grid
from ilvf.envs.traffic.scenarios.grid import Grid

DATA = ROOT / "tests" / "reference"

Element = tuple[tuple[str, ...], str, dict[str, object]]  # parents, tag, attributes


# ---------------------------------------------------------------------- files
def elements(file: Path) -> list[Element]:
    """All elements in order, numbers as numbers, without comments."""
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as source:
        root = ET.parse(source).getroot()
    return [((), root.tag, {}), *elements_below(root, ())]


def elements_below(element: ET.Element, parents: tuple[str, ...]) -> list[Element]:
    found = []
    for child in element:
        found.append((parents, child.tag, {k: value(v) for k, v in child.attrib.items()}))
        found += elements_below(child, (*parents, f"{child.tag} {child.get('id', '')}"))
    return found


def value(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def without_programs(found: list[Element]) -> list[Element]:
    return [e for e in found if not any(parent.startswith("tlLogic") for parent in e[0])]


def test_network_is_the_published_one_with_two_more_phases(grid_files):
    ours = elements(grid_files.net_file)
    published = elements(DATA / "large_grid.net.xml.gz")
    assert without_programs(ours) == without_programs(published)
    assert len(ours) == len(published) + 25 * 2 * 2  # a green and a yellow state each


def test_with_three_phases_it_is_exactly_the_published_network(tmp_path, monkeypatch):
    monkeypatch.setattr(large_grid, "PHASES", large_grid.PHASES[:3])
    ours = elements(large_grid.large_grid(tmp_path).net_file)
    assert ours == elements(DATA / "large_grid.net.xml.gz")


def test_demand_is_the_published_one(grid_files):
    ours = elements(grid_files.route_files[0])
    assert ours == elements(DATA / "large_grid.rou.xml")
    flows = [attributes for _, tag, attributes in ours if tag == "flow"]
    assert len(flows) == 84
    assert round(sum(f["vehsPerHour"] * (f["end"] - f["begin"]) / 3600 for f in flows)) == 3681


def test_detectors_are_the_published_ones(grid_files, grid):
    def by_id(found):
        return sorted(found, key=lambda e: e[2].get("id", ""))

    ours = elements(grid_files.additional_files[0])
    assert by_id(ours) == by_id(elements(DATA / "large_grid.add.xml"))
    assert grid_files.detectors
    detectors = {attributes["id"] for _, tag, attributes in ours if tag == "laneAreaDetector"}
    assert detectors == set(grid.lanes)


# ---------------------------------------------------------------------- what is read from them
def test_every_signal_has_the_five_phases(grid):
    assert [signal.id for signal in grid.signals] == [f"nt{k}" for k in range(1, 26)]
    assert {signal.phases for signal in grid.signals} == {large_grid.PHASES}


def test_published_program_has_three_phases():
    found = read_network(DATA / "large_grid.net.xml.gz")
    assert {signal.phases for signal in found.signals} == {large_grid.PHASES[:3]}


def test_neighbours_and_distances_are_those_of_a_grid(grid):
    place = np.array([(k % 5, k // 5) for k in range(25)])
    blocks = np.abs(place[:, None] - place[None]).sum(-1)
    assert (grid.neighbours == (blocks == 1)).all()
    assert np.allclose(grid.distance, 200.0 * blocks)
    # nt8 is in the third column and second row; netconvert moves the border to 0.
    assert grid.signals[7].position == (75 + 2 * 200, 75 + 200)


def test_links(grid):
    """North of nt13 is nt18, east nt14, south nt8, west nt12."""
    centre = grid.signals[12]
    assert centre.link_lanes == (
        *("nt18_nt13_0",) * 3,
        *("nt14_nt13_0", "nt14_nt13_0", "nt14_nt13_1"),
        *("nt8_nt13_0",) * 3,
        *("nt12_nt13_0", "nt12_nt13_0", "nt12_nt13_1"),
    )
    right_straight_left = ("nt13_nt12_0", "nt13_nt8_0", "nt13_nt14_1")
    assert centre.link_targets[:3] == right_straight_left
    assert centre.lanes == (
        "nt18_nt13_0",
        "nt14_nt13_0",
        "nt14_nt13_1",
        "nt8_nt13_0",
        "nt12_nt13_0",
        "nt12_nt13_1",
    )


def test_lanes(grid):
    """Inner and border avenues are 179.2 m and 64.6 m long, streets 185.6 m and 67.8 m."""
    assert len(grid.lanes) == 150
    lengths = {grid.lane_lengths[lane] for lane in grid.lanes}
    assert lengths == {179.2, 185.6, 64.6, 67.8}
    assert {grid.lane_lengths[lane] for lane in grid.signals[12].lanes} == {179.2, 185.6}
    assert set(grid.extensions.values()) == {()}


def test_notes(grid):
    """SUMO warns of the same at every start."""
    assert grid.notes == (
        "nt1, nt2, nt3, nt4 and 21 more: "
        "phase rrrGrGrrrGrG is G for links that merge: 3 and 11, 5 and 9",
    )


# ---------------------------------------------------------------------- another side
def test_a_grid_of_another_side_is_a_grid(tmp_path):
    files = large_grid.large_grid(tmp_path, side=4)
    found = read_network(files.net_file)
    place = np.array([(k % 4, k // 4) for k in range(16)])
    blocks = np.abs(place[:, None] - place[None]).sum(-1)
    assert [signal.id for signal in found.signals] == [f"nt{k}" for k in range(1, 17)]
    assert (found.neighbours == (blocks == 1)).all()
    additional = elements(files.additional_files[0])
    assert {x["id"] for _, tag, x in additional if tag == "laneAreaDetector"} == set(found.lanes)


def test_traffic_crosses_a_grid_of_another_side():
    """Border nodes of 4 x 4: south 1-4, east 5-8, north 9-12, west 13-16."""
    flows = ET.fromstring(large_grid.demand(Grid(4))).findall("flow")
    ways = {(flow.get("from"), flow.get("to")) for flow in flows}
    assert ways == {
        *[("np10_nt15", "nt2_np2"), ("np11_nt14", "nt3_np3")],  # mirrored
        *[("np14_nt9", "nt8_np6"), ("np16_nt1", "nt16_np8")],
        *[("np2_nt2", "nt14_np11"), ("np3_nt3", "nt15_np10")],  # straight on
        *[("np5_nt4", "nt1_np16"), ("np7_nt12", "nt9_np14")],
    }


# ---------------------------------------------------------------------- the cache
def test_files_are_made_once(grid_files, monkeypatch):
    monkeypatch.setattr(large_grid, "run_program", lambda *_: pytest.fail("made again"))
    assert large_grid.large_grid(grid_files.net_file.parents[1]) == grid_files


def test_other_traffic_is_in_another_folder(grid_files, monkeypatch, tmp_path):
    monkeypatch.setitem(large_grid.VEHICLE, "length", 6)
    other = large_grid.large_grid(tmp_path)
    assert other.net_file.parent.name != grid_files.net_file.parent.name
    assert 'length="6"' in other.route_files[0].read_text()


def test_cache_that_cannot_be_written(tmp_path, refused):
    (tmp_path / "file").write_text("")
    with refused("cannot write", "file", "ILVF_CACHE"):
        large_grid.large_grid(tmp_path / "file")
