"""What is read from a net file, by hand on the tiny network that `traffic_nets.tiny` draws."""

import gzip
import subprocess
import sys

import numpy as np
import pytest

import traffic_nets
from ilvf.envs.traffic import read_network
from ilvf.envs.traffic.network.lights import PAUSES, SHORT_LANES, by_name


# ---------------------------------------------------------------------- phases and links
def phases_of(network):
    return {signal.id: signal.phases for signal in network.signals}


def test_green_phases(tiny):
    assert phases_of(tiny) == {
        "J1": ("Gr", "rG"),
        "J2": ("Gg", "rG", "gg"),
        "J3": ("Gg", "Gr"),
        "J4": ("GGGG", "GGrr"),
    }


def test_protected_phases(tiny_net):
    found = phases_of(read_network(tiny_net, add_protected=True))
    assert found["J3"] == ("Gg", "rG", "Gr")  # link 1 alone
    assert found["J2"] == ("Gg", "rG", "gg")  # rG exists, and in gg all links give way
    assert found["J1"] == ("Gr", "rG")  # no link gives way


def test_links_and_positions(tiny):
    crossing = tiny.signals[3]
    assert crossing.link_lanes == ("e_J4_0", "e_J4_0", "c_J4_0", "c_J4_0")
    assert crossing.link_targets == ("J4_d_0", "J4_f_0", "J4_d_0", "J4_f_0")
    assert [s.position for s in tiny.signals] == [(0, 0), (140, 0), (600, 0), (0, 1000)]
    expected = "s1_J1_0 a_J1_0 s2_J2_0 m_J2_0 s3_J3_0 J5_J3_0 e_J4_0 c_J4_0"
    assert tiny.lanes == tuple(expected.split())


def test_parallel_lanes_are_links_of_their_own(tmp_path):
    nodes = {"a": (-100, 0), "J": (0, 0), "b": (100, 0), "s": (0, -100)}
    lanes = {"a_J": 2, "J_b": 2}
    net = traffic_nets.convert(tmp_path, nodes, ["a_J", "J_b", "s_J"], {"J": ("Grr", "rGG")}, lanes)
    found = read_network(net)
    (signal,) = found.signals
    assert signal.link_lanes == ("s_J_0", "a_J_0", "a_J_1")
    assert found.neighbours.tolist() == [[False]]
    assert found.distance.tolist() == [[0.0]]


@pytest.mark.parametrize(
    "ordered",
    [
        ["A9", "A10", "B2", "nt1", "nt2", "nt10"],
        ["10026", "8794", "9884", "cluster_8751_9630", "cluster_8985_9609", "joinedS_0"],
        ["", "1J", "1J2", "J", "J1"],
    ],
    ids=["grid", "monaco", "mixed"],
)
def test_order_of_signals(ordered):
    shuffled = [*ordered[3:], *ordered[2::-1]]
    assert shuffled != ordered
    assert sorted(shuffled, key=by_name) == ordered


def test_program_is_the_one_that_sumo_runs(tiny_net, tmp_path):
    """Of several programs the last."""
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
    command = [sys.executable, "-c", code, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "other"


# ---------------------------------------------------------------------- notes
def test_notes(tiny):
    """Both ways of J4 lead straight on and into each other's road."""
    assert set(tiny.notes) == {
        "J5: left out, for there is nothing to decide: 1 green phase",
        "J3, J4: no neighbours",
        "J4: phase GGGG is G for links that cross: 1 and 2",
        "J4: phase GGGG is G for links that merge: 0 and 2, 1 and 3",
        f"J2, J4: {PAUSES}",  # rr and rrrr
    }


def test_note_on_crossings_that_clear(tmp_path):
    """Programs of netgenerate stop pedestrians before vehicles."""
    options = ("-j", "traffic_light", "--sidewalks.guess", "--crossings.guess")
    notes = read_network(traffic_nets.grid(tmp_path, *options)).notes
    assert any(note.endswith(PAUSES) for note in notes)


def test_note_on_short_approach_lanes(tmp_path):
    for length, noted in (("10", True), ("60", False)):
        options = ("-j", "traffic_light", "--turn-lanes", "1", "--turn-lanes.length", length)
        folder = tmp_path / length
        folder.mkdir()
        notes = read_network(traffic_nets.grid(folder, *options)).notes
        assert any(note.endswith(SHORT_LANES) for note in notes) == noted


def test_note_on_links_that_never_open(tiny_net):
    table = {"signals": {"J1": {"phases": ["Gr", "gr"]}, "J4": {"phases": ["Grrr", "srrG"]}}}
    notes = read_network(tiny_net, table=table).notes
    assert "J1: links that no phase opens: 1" in notes
    assert "J4: links that no phase opens: 1, 2" in notes


# ---------------------------------------------------------------------- neighbours
@pytest.mark.parametrize(
    ("rules", "pairs"),
    [
        ({}, {"J1 J2"}),  # three edges, about 129 m
        ({"max_edges": 2}, set()),
        ({"max_distance": 120}, set()),
        # Past J5, which is no agent: two edges, 438 m.
        ({"max_edges": 2, "max_distance": 500}, {"J2 J3"}),
        ({"max_distance": 500}, {"J1 J2", "J2 J3"}),
        # J2 is between J1 and J3, and no road leads to J4.
        ({"max_edges": 99, "max_distance": np.inf}, {"J1 J2", "J2 J3"}),
    ],
)
def test_neighbours(tiny_net, rules, pairs):
    found = read_network(tiny_net, **rules)
    ids = [signal.id for signal in found.signals]
    assert {f"{ids[i]} {ids[j]}" for i, j in np.argwhere(np.triu(found.neighbours))} == pairs
    assert (found.neighbours == found.neighbours.T).all()


@pytest.mark.parametrize("name", ["max_edges", "max_distance", "cover"])
def test_negative_numbers(tiny_net, name, refused):
    with refused(f"{name}=-1"):
        read_network(tiny_net, **{name: -1})


def test_distances_are_from_centre_to_centre_in_the_shorter_direction(tiny):
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


# ---------------------------------------------------------------------- extensions
@pytest.mark.parametrize(
    ("cover", "upstream"),
    [
        (50, ("k_m_0", "J1_k_0")),  # 21 + 15 m are too short; J1_k is the last before a signal
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
    assert found.extensions["s1_J1_0"] == ()  # 32.8 m, without a lane before it
    assert found.extensions["J5_J3_0"] == ()  # leaves a signal, though one that is no agent
    assert set(found.extensions) == set(found.lanes)
    assert set(found.lane_lengths) >= {*found.lanes, *upstream, *found.signals[0].link_targets}


def test_extensions_follow_every_way(tmp_path):
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


# ---------------------------------------------------------------------- bad files
DAMAGES = {
    "half": lambda text: text[: len(text) // 2],
    "empty": lambda text: b"",
    "not xml": lambda text: b"not xml at all",
    "routes": lambda text: b"<routes></routes>",
    "empty net": lambda text: b"<net/>",
    "missing junction": lambda text: text.replace(b'to="J1" priority', b'to="nowhere" prio'),
    "length is no number": lambda text: text.replace(b'length="', b'length="x'),
    "missing lane": lambda text: text.replace(b'fromLane="0"', b'fromLane="7"'),
    "half of a gzip file": lambda text: gzip.compress(text)[:-200],
    "bytes": lambda text: bytes(range(256)) * 20,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
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


def test_missing_file_and_folder(tmp_path, refused):
    for path in (tmp_path / "nowhere.net.xml", tmp_path):
        with refused(str(path)):
            read_network(path)


@pytest.mark.parametrize(
    ("programs", "words"),
    [({"J": ("Gg", "yy")}, ("two green phases", "J: left out")), ({}, ("no signals",))],
    ids=["one phase", "no signal"],
)
def test_networks_without_a_choice(tmp_path, refused, programs, words):
    nodes = {"a": (-100, 0), "J": (0, 0), "b": (100, 0), "s": (0, -100)}
    net = traffic_nets.convert(tmp_path, nodes, ["a_J", "J_b", "s_J"], programs)
    with refused("tiny.net.xml", *words):
        read_network(net)
