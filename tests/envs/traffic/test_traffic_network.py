"""Road networks: what is read from them, the two scenarios' files, the maps."""

import gzip
import hashlib
import http.server
import json
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sumolib", reason="needs the extra ilvf[sumo]")

import traffic_nets
from helpers import ROOT
from ilvf.envs.traffic.network import network as networks
from ilvf.envs.traffic.network.lights import _requests
from ilvf.envs.traffic.network.maps import draw_map, draw_side_by_side
from ilvf.envs.traffic.network.network import by_name, read_file, read_network
from ilvf.envs.traffic.scenarios import large_grid as grid
from ilvf.envs.traffic.scenarios import monaco
from ilvf.envs.traffic.scenarios.download import download
from ilvf.envs.traffic.simulator import sumo_tools

DATA = ROOT / "tests" / "reference"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The large grid's files."""
    return grid.large_grid(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def large(made):
    return read_network(made.net_file)


@pytest.fixture(scope="module")
def tiny_net(tmp_path_factory):
    return traffic_nets.tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def tiny(tiny_net):
    return read_network(tiny_net)


@pytest.fixture(scope="module")
def irregular_net(tmp_path_factory):
    return traffic_nets.irregular(tmp_path_factory.mktemp("irregular"))


@pytest.fixture(scope="module")
def walkable_net(tmp_path_factory):
    """With sidewalks, crossings, and short lanes for turning left."""
    options = ["--sidewalks.guess", "--crossings.guess", "--turn-lanes", "1"]
    return traffic_nets.irregular(tmp_path_factory.mktemp("walkable"), *options, iterations=30)


# --- the large grid: the reference's files, element by element --------------------------------------------------------


def elements(file: Path) -> list:
    """(parents, tag, attributes) of all elements in order, numbers as numbers, without comments."""

    def value(text):
        try:
            return float(text)
        except ValueError:
            return text

    def walk(element, above):
        for child in element:
            yield above, child.tag, {k: value(v) for k, v in child.attrib.items()}
            yield from walk(child, (*above, f"{child.tag} {child.get('id', '')}"))

    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as source:
        root = ET.parse(source).getroot()
    return [((), root.tag, {}), *walk(root, ())]


def without_programs(found: list) -> list:
    return [e for e in found if not any(parent.startswith("tlLogic") for parent in e[0])]


def test_the_network_is_the_references_but_for_two_more_phases(made):
    ours, reference = elements(made.net_file), elements(DATA / "large_grid.net.xml.gz")
    assert without_programs(ours) == without_programs(reference)
    assert len(ours) == len(reference) + 25 * 2 * 2  # a green and a yellow each


def test_with_the_references_three_phases_it_is_the_references_network(tmp_path, monkeypatch):
    monkeypatch.setattr(grid, "PHASES", grid.PHASES[:3])
    assert elements(grid.large_grid(tmp_path).net_file) == elements(DATA / "large_grid.net.xml.gz")


def test_the_demand_is_the_references(made):
    ours = elements(made.route_files[0])
    assert ours == elements(DATA / "large_grid.rou.xml")
    flows = [attributes for _, tag, attributes in ours if tag == "flow"]
    assert len(flows) == 84
    assert round(sum(f["vehsPerHour"] * (f["end"] - f["begin"]) / 3600 for f in flows)) == 3681


def test_the_detectors_are_the_references(made, large):
    def by_id(file):
        return sorted(elements(file), key=lambda e: e[2].get("id", ""))

    assert by_id(made.additional_files[0]) == by_id(DATA / "large_grid.add.xml")
    assert made.detectors
    assert {
        a["id"] for _, tag, a in elements(made.additional_files[0]) if tag == "laneAreaDetector"
    } == {*large.lanes}


def test_five_phases_and_four_neighbours_are_found_everywhere(large):
    assert [s.id for s in large.signals] == [f"nt{k}" for k in range(1, 26)]
    assert {s.phases for s in large.signals} == {grid.PHASES}
    place = np.array([(k % 5, k // 5) for k in range(25)])
    steps = np.abs(place[:, None] - place[None]).sum(-1)
    assert (large.neighbours == (steps == 1)).all()
    assert np.allclose(large.distance, 200.0 * steps)
    assert large.signals[7].position == (
        75 + 2 * 200,
        75 + 200,
    )  # nt8: third column, second row; netconvert adds 75


def test_links_of_the_large_grid(large):
    centre = large.signals[12]  # nt13; north is nt18, east nt14, south nt8, west nt12
    assert centre.link_lanes == (
        *("nt18_nt13_0",) * 3,
        *("nt14_nt13_0", "nt14_nt13_0", "nt14_nt13_1"),
        *("nt8_nt13_0",) * 3,
        *("nt12_nt13_0", "nt12_nt13_0", "nt12_nt13_1"),
    )
    assert centre.link_targets[:3] == (
        "nt13_nt12_0",
        "nt13_nt8_0",
        "nt13_nt14_1",
    )  # from the north: right, straight, left
    assert centre.lanes == (
        "nt18_nt13_0",
        "nt14_nt13_0",
        "nt14_nt13_1",
        "nt8_nt13_0",
        "nt12_nt13_0",
        "nt12_nt13_1",
    )
    assert len(large.lanes) == 150
    lengths = {lane: large.lane_lengths[lane] for lane in large.lanes}
    assert {lengths[lane] for lane in centre.lanes} == {179.2, 185.6}
    assert set(lengths.values()) == {179.2, 185.6, 64.6, 67.8}
    assert set(large.extensions.values()) == {()}


def test_notes_of_the_large_grid(large):
    (note,) = large.notes  # SUMO warns of the same at every start
    assert note == (
        "nt1, nt2, nt3, nt4 and 21 more: phase rrrGrGrrrGrG is G for links that merge: 3 and 11, 5 and 9"
    )


def test_the_references_own_program_has_three_phases():
    found = read_network(DATA / "large_grid.net.xml.gz")
    assert {s.phases for s in found.signals} == {grid.PHASES[:3]}


# --- generated files --------------------------------------------------------------------------------------------------


def test_files_are_made_once(made, monkeypatch):
    monkeypatch.setattr(grid, "run_program", lambda *_: pytest.fail("made again"))
    assert grid.large_grid(made.net_file.parents[1]) == made


def test_another_content_is_another_folder(made, monkeypatch):
    monkeypatch.setitem(grid.VEHICLE, "length", 6)
    other = grid.large_grid(made.net_file.parents[1])
    assert other.net_file.parent != made.net_file.parent
    assert 'length="6"' in other.route_files[0].read_text()


def test_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ILVF_CACHE", str(tmp_path / "here"))
    assert sumo_tools.cache_folder() == tmp_path / "here"
    monkeypatch.delenv("ILVF_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert sumo_tools.cache_folder() == tmp_path / ".cache" / "ilvf"


def test_a_deleted_part_is_made_again(tmp_path):
    def build(folder):
        for name in "ab":
            (folder / name).write_text("x")

    a, b = sumo_tools.generated(tmp_path, "pair", "content", ("a", "b"), build)
    a.unlink()
    assert sumo_tools.generated(tmp_path, "pair", "content", ("a", "b"), build) == (a, b)
    assert a.read_text() == b.read_text() == "x"
    assert [p.name for p in tmp_path.iterdir()] == [a.parent.name]  # nothing is left lying about


def test_several_may_ask_at_once(tmp_path):
    everyone = threading.Barrier(4)

    def build(folder):
        everyone.wait(10)  # all have found nothing
        (folder / "a").write_text("x" * 1000)

    def ask(_):
        return sumo_tools.generated(tmp_path, "one", "content", ("a",), build)[0].read_text()

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(ask, range(4))) == {"x" * 1000}
    assert len(list(tmp_path.iterdir())) == 1


def test_what_fails_leaves_nothing(tmp_path):
    def build(folder):
        (folder / "a").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sumo_tools.generated(tmp_path, "one", "content", ("a",), build)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written(tmp_path, refused):
    (tmp_path / "file").write_text("")
    with refused("cannot write", "file", "ILVF_CACHE"):
        grid.large_grid(tmp_path / "file")


def test_sumo_is_not_installed(tmp_path, monkeypatch, refused, tiny_net):
    monkeypatch.setattr(sumo_tools, "_pip_home", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("SUMO_HOME", raising=False)
    sumo_tools.program_version.cache_clear()
    with refused("netconvert", "pip install 'ilvf[sumo]'"):
        grid.large_grid(tmp_path)
    sumo_tools.program_version.cache_clear()
    monkeypatch.setitem(sys.modules, "sumolib", None)  # importing it fails
    with refused("sumolib", "pip install 'ilvf[sumo]'"):
        read_network(tiny_net)


def test_ilvf_needs_no_sumo():
    """Not even these modules do, before they are asked for something."""
    code = """if True:
        import sys
        for name in ("sumo", "sumolib", "libsumo", "traci", "sumo_data"):
            sys.modules[name] = None
        import ilvf, ilvf.envs
        from ilvf.envs.traffic import read_network, maps, monaco, large_grid
        try:
            read_network(sys.argv[1])
        except ilvf.errors.UsageError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", code, __file__], capture_output=True, text=True, check=True
    )
    assert "pip install 'ilvf[sumo]'" in done.stdout


def test_what_sumos_program_complains_about(tmp_path, refused):
    with refused("netconvert", "Error", "nowhere.xml"):
        sumo_tools.run_program(
            "netconvert", "--node-files", tmp_path / "nowhere.xml", "--output-file", tmp_path / "x"
        )


# --- rules, by hand on the tiny network (see its picture in traffic_nets) ---------------------------------------------


def test_green_phases(tiny, tiny_net):
    found = {s.id: s.phases for s in tiny.signals}
    assert found == {
        "J1": ("Gr", "rG"),
        "J2": ("Gg", "rG", "gg"),
        "J3": ("Gg", "Gr"),
        "J4": ("GGGG", "GGrr"),
    }
    found = {s.id: s.phases for s in read_network(tiny_net, add_protected=True).signals}
    assert found["J3"] == ("Gg", "rG", "Gr")  # link 1 alone
    assert found["J2"] == ("Gg", "rG", "gg")  # is there already; all give way
    assert found["J1"] == ("Gr", "rG")  # nobody gives way


def test_links_and_positions(tiny):
    crossing = tiny.signals[3]
    assert crossing.link_lanes == ("e_J4_0", "e_J4_0", "c_J4_0", "c_J4_0")
    assert crossing.link_targets == ("J4_d_0", "J4_f_0", "J4_d_0", "J4_f_0")
    assert [s.position for s in tiny.signals] == [(0, 0), (140, 0), (600, 0), (0, 1000)]
    assert tiny.lanes == (
        "s1_J1_0",
        "a_J1_0",
        "s2_J2_0",
        "m_J2_0",
        "s3_J3_0",
        "J5_J3_0",
        "e_J4_0",
        "c_J4_0",
    )


def test_notes(tiny):
    assert set(tiny.notes) == {
        "J5: left out, for there is nothing to decide: 1 green phase",
        "J3, J4: no neighbours",
        "J4: phase GGGG is G for links that cross: 1 and 2",  # both go straight on
        "J4: phase GGGG is G for links that merge: 0 and 2, 1 and 3",  # into d, into f
    }


def test_links_that_never_open(tiny_net):
    table = {"signals": {"J1": {"phases": ["Gr", "gr"]}, "J4": {"phases": ["Grrr", "srrG"]}}}
    notes = read_network(tiny_net, table=table).notes
    assert "J1: links that no phase opens: 1" in notes
    assert "J4: links that no phase opens: 1, 2" in notes


@pytest.mark.parametrize(
    ("rules", "pairs"),
    [
        ({}, {"J1 J2"}),  # three edges, about 129 m
        ({"max_edges": 2}, set()),
        ({"max_distance": 120}, set()),
        ({"max_edges": 2, "max_distance": 500}, {"J2 J3"}),  # past J5, which decides nothing: 438 m
        ({"max_distance": 500}, {"J1 J2", "J2 J3"}),
        (
            {"max_edges": 99, "max_distance": np.inf},
            {"J1 J2", "J2 J3"},
        ),  # J2 is between J1 and J3; J4 is elsewhere
    ],
)
def test_neighbours(tiny_net, rules, pairs):
    found = read_network(tiny_net, **rules)
    ids = [s.id for s in found.signals]
    assert {f"{ids[i]} {ids[j]}" for i, j in np.argwhere(np.triu(found.neighbours))} == pairs
    assert (found.neighbours == found.neighbours.T).all()


def test_distances_are_from_centre_to_centre_in_the_direction_that_there_is(tiny):
    inf = np.inf
    assert tiny.distance.tolist() == [
        [0, 140, 600, inf],
        [140, 0, 460, inf],
        [600, 460, 0, inf],
        [inf, inf, inf, 0],
    ]


def test_distances_follow_curves(tiny_net, tmp_path):
    file = tmp_path / "curve.net.xml"
    shape = 'id="J1_k" shape="0,0 0,30 100,30 100,0" '
    file.write_text(tiny_net.read_text().replace('id="J1_k" ', shape))
    assert read_network(file).distance[0, 1] == 30 + 100 + 30 + 15 + 25


def test_the_program_is_the_one_that_sumo_runs(tiny_net, tmp_path):
    """Of several the last."""
    file = tmp_path / "programs.net.xml"
    phases = "".join(f'<phase duration="9" state="{state}"/>' for state in ("gG", "yy", "Gg"))
    other = f'<tlLogic id="J1" type="static" programID="other" offset="0">{phases}</tlLogic>'
    before, after = tiny_net.read_text().split('<tlLogic id="J2"')
    file.write_text(f'{before}{other}<tlLogic id="J2"{after}')
    assert read_network(file).signals[0].phases == ("gG", "Gg")
    code = """if True:
        import sys, libsumo
        libsumo.start(["sumo", "-n", sys.argv[1], "--no-warnings"])
        print(libsumo.trafficlight.getProgram("J1"))
    """
    done = subprocess.run(
        [sys.executable, "-c", code, file], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "other"


@pytest.mark.parametrize(
    ("cover", "upstream"),
    [
        (50, ("k_m_0", "J1_k_0")),  # 21 + 15 m are not enough, J1's is the last before a signal
        (36, ("k_m_0",)),
        (20, ()),
        (1000, ("k_m_0", "J1_k_0")),  # not beyond J1
    ],
)
def test_short_approaches_are_extended(tiny_net, cover, upstream):
    found = read_network(tiny_net, cover=cover)
    assert found.lane_lengths["m_J2_0"] == 21
    assert found.lane_lengths.get("k_m_0") == (15 if upstream else None)
    assert found.extensions["m_J2_0"] == upstream
    assert found.extensions["s1_J1_0"] == ()  # 32.8 m, nothing before it
    assert found.extensions["J5_J3_0"] == ()  # a signal's, though one that decides nothing
    assert set(found.extensions) == set(found.lanes)
    assert set(found.lane_lengths) >= {*found.lanes, *upstream, *found.signals[0].link_targets}


def test_extensions_fork(tmp_path):
    """Two ways lead to a short approach: each is followed until it is covered."""
    nodes = {
        "J": (0, 0),
        "m": (20, 0),
        "p": (40, 0),
        "q": (100, 0),
        "r": (20, 100),
        "w": (-100, 0),
        "s": (0, -100),
    }
    edges = ["m_J", "p_m", "q_p", "r_m", "J_w", "s_J"]
    found = read_network(traffic_nets.convert(tmp_path, nodes, edges, {"J": ("Gr", "rG")}))
    assert set(found.extensions["m_J_0"]) == {"p_m_0", "r_m_0", "q_p_0"}
    assert found.extensions["m_J_0"][2] == "q_p_0"  # the furthest


def test_parallel_lanes_are_links_of_their_own(tmp_path):
    nodes = {"a": (-100, 0), "J": (0, 0), "b": (100, 0), "s": (0, -100)}
    lanes = {"a_J": 2, "J_b": 2}
    net = traffic_nets.convert(tmp_path, nodes, ["a_J", "J_b", "s_J"], {"J": ("Grr", "rGG")}, lanes)
    (signal,) = read_network(net).signals
    assert signal.link_lanes == ("s_J_0", "a_J_0", "a_J_1")
    assert read_network(net).neighbours.tolist() == [[False]]
    assert read_network(net).distance.tolist() == [[0.0]]


def test_order_of_signals():
    assert sorted(["nt10", "nt2", "nt1", "B2", "A10", "A9"], key=by_name) == [
        "A9",
        "A10",
        "B2",
        "nt1",
        "nt2",
        "nt10",
    ]
    in_monaco = {"joinedS_0", "cluster_8985_9609", "9884", "10026", "8794", "cluster_8751_9630"}
    assert sorted(in_monaco, key=by_name) == sorted(in_monaco)
    assert sorted(in_monaco)[:2] == ["10026", "8794"]
    assert sorted(["J", "J1", "", "1J2", "1J"], key=by_name) == ["", "1J", "1J2", "J", "J1"]


# --- tables -----------------------------------------------------------------------------------------------------------


def test_a_table_overrides_what_it_names(tiny_net, tiny, tmp_path):
    table = {
        "signals": {
            "J1": {"phases": ["rG", "Gr", "rr"], "neighbours": ["J3", "J4"]},
            "J2": {"extensions": {"m_J2_0": ["k_m_0"], "s2_J2_0": ["J2_J5_0"]}},
        }
    }
    file = tmp_path / "table.json"
    file.write_text(json.dumps(table))
    found = read_network(tiny_net, table=file)
    assert found.signals[0].phases == ("rG", "Gr", "rr")
    assert found.signals[1].phases == tiny.signals[1].phases
    assert np.argwhere(found.neighbours).tolist() == [
        [0, 2],
        [0, 3],
        [2, 0],
        [3, 0],
    ]  # J1 J2 is gone
    assert found.extensions["m_J2_0"] == ("k_m_0",)
    assert found.extensions["s2_J2_0"] == ("J2_J5_0",)
    assert found.lane_lengths["J2_J5_0"] == 148.8
    assert "J2: no neighbours" in found.notes
    assert (read_network(tiny_net, table=table).neighbours == found.neighbours).all()


def test_two_lists_of_neighbours_are_joined(tiny_net):
    table = {
        "signals": {
            "J1": {"neighbours": []},
            "J2": {"neighbours": ["J1"]},
            "J3": {"neighbours": ["J2"]},
        }
    }
    assert np.argwhere(np.triu(read_network(tiny_net, table=table).neighbours)).tolist() == [
        [0, 1],
        [1, 2],
    ]


def test_a_table_can_leave_out_and_bring_in(tiny_net):
    table = {"signals": {"J1": {"phases": ["GG"]}, "J5": {"phases": ["Gr", "rG"]}}}
    found = read_network(tiny_net, table=table)
    assert [s.id for s in found.signals] == ["J2", "J3", "J4", "J5"]
    assert any(note.startswith("J1: left out") for note in found.notes)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"J1": {}}, ["signals"]),
        ({"signals": []}, ["signals"]),
        ([], ["signals"]),
        ({"signals": {}, "more": 1}, ["signals"]),
        ({"signals": {"J1": []}}, ["J1", "phases"]),
        ({"signals": {"J1": {"phase": []}}}, ["J1", "'phase'", "phases, neighbours, extensions"]),
        ({"signals": {"J1": {"phases": "GG"}}}, ["J1", "phases='GG'", "list"]),
        ({"signals": {"J1": {"phases": [1]}}}, ["J1", "phases=[1]", "strings"]),
        ({"signals": {"J1": {"extensions": {"a_J1_0": "x"}}}}, ["J1", "extensions", "strings"]),
        ({"signals": {"J9": {}}}, ["J9", "J1, J2, J3, J4, J5"]),
        ({"signals": {"J1": {"neighbours": ["J9"]}}}, ["J9", "neighbours of J1"]),
        ({"signals": {"J1": {"neighbours": ["J1"]}}}, ["J1", "its own"]),
        ({"signals": {"J1": {"neighbours": ["J5"]}}}, ["J5", "left out"]),
        ({"signals": {"J1": {"phases": ["Gr", "rGr"]}}}, ["rGr", "3 letters", "J1", "2"]),
        ({"signals": {"J1": {"phases": ["Gr", "yG"]}}}, ["yG", "J1", "G, g, r, s"]),
        ({"signals": {"J1": {"phases": ["Gr", "rG", "Gr"]}}}, ["Gr", "J1", "twice"]),
        ({"signals": {"J1": {"extensions": {"m_J2_0": []}}}}, ["m_J2_0", "J1", "a_J1_0, s1_J1_0"]),
        ({"signals": {"J1": {"extensions": {"a_J1_0": ["nowhere_0"]}}}}, ["a_J1_0", "nowhere_0"]),
    ],
)
def test_refused_tables(tiny_net, refused, tmp_path, table, words):
    file = tmp_path / "table.json"
    file.write_text(json.dumps(table))
    with refused(*words):
        read_network(tiny_net, table=file)


def test_tables_that_cannot_be_read(tiny_net, refused, tmp_path):
    with refused("nowhere.json", "cannot be read"):
        read_network(tiny_net, table=tmp_path / "nowhere.json")
    (tmp_path / "torn.json").write_text('{"signals":')
    with refused("torn.json", "not JSON"):
        read_network(tiny_net, table=str(tmp_path / "torn.json"))


# --- bad files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: b"",
        lambda text: b"not xml at all",
        lambda text: b"<routes></routes>",
        lambda text: b"<net/>",
        lambda text: text.replace(b'to="J1" priority', b'to="nowhere" prio'),
        lambda text: text.replace(b'length="', b'length="x'),
        lambda text: text.replace(b'fromLane="0"', b'fromLane="7"'),
        lambda text: gzip.compress(text)[:-200],
        lambda text: bytes(range(256)) * 20,
    ],
)
def test_corrupt_files(tiny_net, tmp_path, refused, damage):
    file = tmp_path / "corrupt.net.xml"
    file.write_bytes(damage(tiny_net.read_bytes()))
    with refused("corrupt.net.xml"):
        read_network(file)


def test_states_that_do_not_fit_the_links(tiny_net, tmp_path, refused):
    file = tmp_path / "short.net.xml"
    file.write_text(tiny_net.read_text().replace('state="GGGG"', 'state="GGG"'))
    with refused("short.net.xml", "J4"):
        read_network(file)


def test_a_missing_file_and_a_folder(tmp_path, refused):
    for path in (tmp_path / "nowhere.net.xml", tmp_path):
        with refused(str(path)):
            read_network(path)


def test_networks_without_a_decision(tmp_path, refused):
    nodes = {"a": (-100, 0), "J": (0, 0), "b": (100, 0), "s": (0, -100)}
    edges = ["a_J", "J_b", "s_J"]
    one = traffic_nets.convert(tmp_path / "one", nodes, edges, {"J": ("Gg", "yy")})
    with refused("tiny.net.xml", "two green phases", "J: left out"):
        read_network(one)
    with refused("tiny.net.xml", "no signals"):
        read_network(traffic_nets.convert(tmp_path / "none", nodes, edges, {}))


# --- irregular cities -------------------------------------------------------------------------------------------------

CONTROLLED = """if True:  # what SUMO itself thinks that its lights control
    import json, sys, libsumo
    libsumo.start(["sumo", "-n", sys.argv[1], "--no-warnings", "--no-step-log"])
    light = libsumo.trafficlight
    print(json.dumps({i: [[*map(list, link)] for link in light.getControlledLinks(i)] for i in light.getIDList()}))
"""


def test_an_irregular_city(irregular_net):
    found = read_network(irregular_net)
    assert len(found.signals) >= 28
    assert len({len(s.phases) for s in found.signals}) > 2
    assert len({len(s.link_lanes) for s in found.signals}) > 5
    net = read_file(irregular_net)
    for signal in found.signals:
        assert all(len(phase) == len(signal.link_lanes) for phase in signal.phases)
        assert all(
            any(phase[k] in "Gg" for phase in signal.phases) for k in range(len(signal.link_lanes))
        )
        assert {net.getLane(lane).getEdge().getToNode().getID() for lane in signal.lanes} == {
            signal.id
        }
        assert {
            net.getLane(lane).getEdge().getFromNode().getID() for lane in signal.link_targets
        } == {signal.id}
    off_diagonal = ~np.eye(len(found.signals), dtype=bool)
    where = np.array([s.position for s in found.signals])
    beeline = np.linalg.norm(where[:, None] - where[None], axis=-1)
    assert (found.distance >= beeline - 0.1).all()
    assert (found.distance == found.distance.T).all()
    assert (found.distance[off_diagonal] > 0).all()
    assert np.isfinite(found.distance).all()
    assert not found.neighbours.diagonal().any()
    wider = read_network(irregular_net, max_edges=5, max_distance=400)
    assert (wider.neighbours >= found.neighbours).all()
    assert wider.neighbours.sum() > found.neighbours.sum() > 0


def test_links_are_those_that_sumo_controls(irregular_net, walkable_net):
    for net in (irregular_net, walkable_net):
        done = subprocess.run(
            [sys.executable, "-c", CONTROLLED, net], capture_output=True, text=True, check=True
        )
        controlled = json.loads(done.stdout.splitlines()[-1])
        for signal in read_network(net).signals:
            ways = [
                way for link in controlled[signal.id] for way in link if not way[0].startswith(":")
            ]  # no pedestrians
            assert signal.link_lanes == tuple(way[0] for way in ways)
            assert signal.link_targets == tuple(way[1] for way in ways)
            assert {len(phase) for phase in signal.phases} == {len(controlled[signal.id])}


def test_rows_of_the_foe_matrix_are_those_that_netconvert_numbers(irregular_net, walkable_net):
    """An internal lane :J_5_1 belongs to the link 5 + 1 of junction J."""
    for file in (irregular_net, walkable_net):
        for node in read_file(file).getNodes():
            for connection, row in _requests(node).items():
                if connection.getViaLaneID():
                    _, first, lane = connection.getViaLaneID().rsplit("_", 2)
                    assert row == int(first) + int(lane)


def test_crossings_are_no_links(walkable_net):
    found = read_network(walkable_net)
    assert not any(lane.startswith(":") for lane in found.lane_lengths)
    assert any(len(s.phases[0]) > len(s.link_lanes) for s in found.signals)  # their letters stay
    links = {light: found.signals[i] for i, light in enumerate(s.id for s in found.signals)}
    net = read_file(walkable_net)
    for tls in net.getTrafficLights():
        if tls.getID() in links:
            own = sorted(tls.getLinks())
            shown = ["".join(phase[k] for k in own) for phase in links[tls.getID()].phases]
            assert len(set(shown)) == len(shown)  # no two phases that are the same to vehicles
    assert any(found.extensions.values())  # a lane for turning left is short
    for lane, upstream in found.extensions.items():
        assert bool(upstream) <= (found.lane_lengths[lane] < 50)


# --- Monaco -----------------------------------------------------------------------------------------------------------


def test_monacos_demand():
    flows = [f.attrib for f in ET.fromstring(monaco.demand()).iter("flow")]
    assert len(flows) == 88
    assert round(sum(float(f["vehsPerHour"]) * 300 / 3600 for f in flows)) == 2383
    active = [sum(f["begin"] == str(300 * k) for f in flows) for k in range(11)]
    assert active == [
        2,
        4,
        8,
        10,
        12,
        16,
        12,
        10,
        8,
        4,
        2,
    ]  # 2 (1 2 4 4 4 4 2 1 0 0 0) + 2 (0 0 0 1 2 4 4 4 4 2 1)
    assert (flows[0]["from"], flows[0]["to"], flows[0]["via"]) == (
        "-10114#1",
        "-10079",
        "10115#2 -10109",
    )
    last = flows[-1]
    assert (last["from"], last["to"], last["via"]) == ("10061#4", "-10085", "10065#2 10102")
    assert (last["begin"], last["end"], last["departPos"]) == ("3000", "3300", "random_free")
    (vehicle,) = ET.fromstring(monaco.demand()).iter("vType")
    assert vehicle.attrib == {
        "id": "type1",
        "length": "5",
        "accel": "5",
        "decel": "10",
        "speedDev": "0.1",
    }
    assert {f["type"] for f in flows} == {"type1"}


def test_the_whole_path_on_a_city_that_bears_monacos_names(tmp_path):
    scenario = monaco.monaco(traffic_nets.like_monaco(tmp_path), tmp_path / "cache")
    assert not scenario.detectors
    assert not scenario.additional_files
    found = read_network(scenario.net_file)
    assert len(found.signals) >= 28
    options = ["--end", "600", "--no-step-log", "--duration-log.statistics"]
    said = sumo_tools.run_program(
        "sumo", "-n", scenario.net_file, "-r", scenario.route_files[0], *options
    )
    inserted = int(said.split("Inserted: ")[1].split()[0])
    assert (
        150 <= inserted <= 163
    )  # 2 and 4 flows of 325 veh/h for 300 s each are 162.5; there may be no room for some


def test_a_missing_monaco_says_where_it_is(tmp_path, monkeypatch, refused):
    monkeypatch.setenv("ILVF_CACHE", str(tmp_path))
    for file in (tmp_path / "nowhere.net.xml", None):
        with refused("no Monaco network", "--download", "github.com"):
            monaco.monaco(file)


def test_another_network_is_not_monaco(tiny_net, tmp_path, refused):
    with refused("tiny.net.xml", "-10114#1, ", "more", "not the Monaco network"):
        monaco.monaco(tiny_net, tmp_path)


def test_a_network_that_lacks_one_edge(tmp_path, refused):
    net = traffic_nets.like_monaco(tmp_path)
    net.write_text(net.read_text().replace("gneE9", "gone"))
    with refused("no edge gneE9,"):
        monaco.monaco(net, tmp_path)


# --- downloads --------------------------------------------------------------------------------------------------------

CONTENT = b"<net version='1.20'>" + b"x" * 200_000
SUM = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(scope="module")
def server():
    """file: all of it; torn: half of what was announced; anything else: 404. Counts what it was asked for."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if self.path not in ("/file", "/torn"):
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT if self.path == "/file" else CONTENT[: len(CONTENT) // 2])

        def log_message(self, *_):
            pass

    asked = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        running.url, running.asked = f"http://127.0.0.1:{running.server_port}", asked
        yield running
        running.shutdown()


def test_a_download_with_the_right_sum(server, tmp_path):
    target = tmp_path / "new" / "most.net.xml"
    assert download(f"{server.url}/file", target, SUM.upper()) == target
    assert target.read_bytes() == CONTENT
    assert [p.name for p in target.parent.iterdir()] == ["most.net.xml"]
    before = len(server.asked)
    assert download(f"{server.url}/file", target, SUM) == target  # is there already
    assert len(server.asked) == before


@pytest.mark.parametrize(
    ("path", "sha256", "words"),
    [
        ("/file", "0" * 64, [SUM, "0" * 64, "nothing was kept"]),
        ("/file", None, [f"--sha256 {SUM}", "nothing was kept"]),
        ("/torn", SUM, ["broke off after 100010 of 200020 bytes"]),
        ("/nowhere", SUM, ["404", "--url"]),
    ],
)
def test_downloads_that_are_not_kept(server, tmp_path, refused, path, sha256, words):
    with refused(f"{server.url}{path}", *words):
        download(f"{server.url}{path}", tmp_path / "most.net.xml", sha256)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/file", "no url", "file:///nowhere/most.net.xml", "http://"]
)
def test_places_that_cannot_be_reached(tmp_path, refused, url):
    with refused(url, "cannot be read"):
        download(url, tmp_path / "most.net.xml", SUM, timeout=5)


def test_a_file_that_is_there_is_not_replaced(server, tmp_path, refused):
    target = tmp_path / "most.net.xml"
    target.write_text("mine")
    with refused("most.net.xml", "there already", "move it away"):
        download(f"{server.url}/file", target, SUM)
    assert target.read_text() == "mine"


def test_a_target_that_cannot_be_written(server, tmp_path, refused):
    (tmp_path / "file").write_text("")
    with refused("cannot write"):
        download(f"{server.url}/file", tmp_path / "file" / "most.net.xml", SUM)


def test_monacos_command_downloads(tmp_path, monkeypatch, capsys, server, refused):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ILVF_CACHE", str(tmp_path / "cache"))
    with refused("--sha256"):  # no sum is known
        monaco.main(["--download", "--url", f"{server.url}/file"])
    net = traffic_nets.like_monaco(tmp_path / "net")
    sent = net.read_bytes()
    url, sha256 = net.as_uri(), hashlib.sha256(sent).hexdigest()
    monaco.main(["--download", "--url", url, "--sha256", sha256])
    assert (tmp_path / "cache" / "monaco" / "most.net.xml").read_bytes() == sent
    assert (tmp_path / "monaco.png").stat().st_size > 10_000
    assert "monaco.rou.xml" in capsys.readouterr().out
    assert monaco.monaco().net_file == monaco.default_net()  # from now on nothing need be named


# --- pictures ---------------------------------------------------------------------------------------------------------


def coloured(axes) -> np.ndarray:
    """Vehicles of the lanes that are drawn in colour."""
    (found,) = (
        c.get_array()
        for c in axes.collections
        if c.get_array() is not None and hasattr(c, "get_segments")
    )
    return np.sort(np.asarray(found))


def test_a_map_colours_queues(large):
    queue = np.zeros(150)
    queue[[3, 10]] = 7, 2
    figure = draw_map(large, queue)
    assert coloured(figure.axes[0]).tolist() == [2, 7]
    by_lane = draw_map(large, {large.lanes[3]: 7, large.lanes[10]: 2})
    assert coloured(by_lane.axes[0]).tolist() == [2, 7]
    assert figure.axes[1].get_ylabel() == "halting vehicles"
    figure.canvas.draw()


def test_a_map_draws_lanes_where_they_are(tiny):
    axes = draw_map(tiny, {"a_J1_0": 3}).axes[0]
    (line,) = next(
        c for c in axes.collections if hasattr(c, "get_segments") and len(c.get_segments()) == 1
    ).get_segments()
    x, y = line.T
    assert -200 <= x[0] < x[-1] <= 0  # from a to J1
    assert (y < 0).all()  # drives on the right
    assert (y > -20).all()


def test_a_map_draws_influence_above_a_threshold(large):
    influence = np.eye(25)
    influence[0, 1], influence[1, 0], influence[3, 4] = 0.8, 0.4, 0.05
    (lower, upper) = draw_map(large, influence=influence).axes[0].texts
    assert upper.xy == large.signals[1].position  # the head: 0 → 1
    assert upper.xyann == large.signals[0].position
    assert sum(upper.arrow_patch.get_edgecolor()[:3]) < sum(
        lower.arrow_patch.get_edgecolor()[:3]
    )  # darker
    assert len(draw_map(large, influence=influence, threshold=0.01).axes[0].texts) == 3
    assert len(draw_map(large, influence=np.zeros((25, 25))).axes[0].texts) == 0


def test_a_map_draws_the_heaviest_influences(large):
    influence = np.eye(25)
    influence[0, 1], influence[1, 0], influence[3, 4] = 0.4, 0.8, 0.2
    figure = draw_map(large, influence=influence, arrows=2)
    heads = [arrow.xy for arrow in figure.axes[0].texts]
    assert heads == [
        large.signals[1].position,
        large.signals[0].position,
    ]  # the heaviest is drawn last, on top
    assert figure.axes[1].get_ylabel() == "influence"
    assert figure.axes[1].get_ylim() == (0.4, 0.8)
    (only,) = draw_map(large, influence=influence, arrows=1).axes[0].texts
    assert only.arrow_patch.get_edgecolor() == figure.axes[0].texts[1].arrow_patch.get_edgecolor()


def test_a_map_goes_into_given_axes(tiny):
    from matplotlib.figure import Figure

    axes = Figure().subplots(1, 2)
    assert draw_map(tiny, axes=axes[1]) is axes[1].figure
    assert not axes[0].collections
    assert {text.get_text() for text in axes[1].texts} == {"J1", "J2", "J3", "J4"}


def test_maps_side_by_side_share_their_colours(large):
    figure = draw_side_by_side(large, {"learned": np.full(150, 1), "fixed cycle": np.full(150, 9)})
    left, right, scale = figure.axes
    assert left.get_title() == "learned: 150 vehicles halting"
    assert right.get_title() == "fixed cycle: 1350 vehicles halting"
    limits = [
        c.get_clim()
        for a in (left, right)
        for c in a.collections
        if hasattr(c, "get_segments") and c.get_array() is not None
    ]
    assert limits == [(0, 9), (0, 9)]
    assert scale.get_ylabel() == "halting vehicles"


def test_refused_maps(large, refused):
    with refused("(3,)", "150"):
        draw_map(large, [1, 2, 3])
    with refused("nowhere_0"):
        draw_map(large, {"nowhere_0": 1})
    with refused("(3, 3)", "(25, 25)"):
        draw_map(large, influence=np.zeros((3, 3)))
    with refused("learned"):
        draw_side_by_side(large, {})


def test_commands(tmp_path, monkeypatch, capsys, tiny_net):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ILVF_CACHE", str(tmp_path / "cache"))
    grid.main()
    said = capsys.readouterr().out
    assert all(name in said for name in grid.FILES)
    assert (tmp_path / "large_grid.png").stat().st_size > 5000
    networks.main([str(tiny_net), "--map", "tiny.png"])
    said = capsys.readouterr().out.splitlines()
    assert said[1].split() == ["J1", "2", "2", "2", "J2"]  # phases, links, lanes, neighbours
    assert said[3].split() == ["J3", "2", "2", "2", "-"]
    assert (tmp_path / "tiny.png").exists()


def test_the_documentation(tmp_path, monkeypatch, capsys):
    """docs/your_own_network.md: its network, its table, what they print."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "your_own_network.md").read_text()
    kinds, _, blocks = zip(
        *(block.partition("\n") for block in text.split("```")[1::2]), strict=True
    )
    (shell, shown), k = blocks[:2], kinds.index("json")
    table, _, noted = blocks[k : k + 3]
    command, _, rest = shell.partition("\npython")
    sumo_tools.run_program(*command.replace("\\\n", "").split())
    networks.main(rest.split()[2:])
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in shown.splitlines() if line != "..." and line not in printed] == []
    Path("table.json").write_text(table)
    city = read_network("city.net.xml", table="table.json")
    assert [*city.notes] == noted.splitlines()
    place = {s.id: i for i, s in enumerate(city.signals)}
    assert city.neighbours[place["65"], place["37"]]
    assert not city.neighbours[place["23"], place["37"]]
    assert read_network("city.net.xml").neighbours[place["23"], place["37"]]


def test_a_command_ends_in_one_sentence(tmp_path):
    started = time.perf_counter()
    command = [sys.executable, "-m", "ilvf.envs.traffic.network", str(tmp_path / "nowhere.net.xml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert (
        done.stderr.strip().splitlines()[-1]
        == f"error: there is no network {tmp_path / 'nowhere.net.xml'}"
    )
    assert "Traceback" not in done.stderr
    assert time.perf_counter() - started < 60
