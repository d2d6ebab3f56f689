"""Tables that override what is derived from the tiny network."""

import json

import numpy as np
import pytest

from ilvf.envs.traffic import SumoTrafficEnv, read_network


def entry(signal, **parts):
    return {"signals": {signal: parts}}


def test_table_overrides_what_it_names(tiny_net, tiny, tmp_path):
    table = {
        "signals": {
            "J1": {"phases": ["rG", "Gr", "rr"], "neighbours": ["J4", "J3"]},
            "J2": {"extensions": {"m_J2_0": ["k_m_0"], "s2_J2_0": ["J2_J5_0"]}},
        },
        "source": "a publication",
    }
    file = tmp_path / "table.json"
    file.write_text(json.dumps(table))
    found = read_network(tiny_net, table=file)
    assert found.signals[0].phases == ("rG", "Gr", "rr")
    assert found.signals[1].phases == tiny.signals[1].phases
    assert tiny.neighbour_lists == ((1,), (0,), (), ())
    assert found.neighbour_lists == ((3, 2), (0,), (), ())  # J2 still has J1
    assert np.argwhere(found.neighbours).tolist() == [[0, 2], [0, 3], [1, 0]]
    assert found.extensions["m_J2_0"] == ("k_m_0",)
    assert found.extensions["s2_J2_0"] == ("J2_J5_0",)
    assert found.lane_lengths["J2_J5_0"] == 148.8
    assert "J3, J4: no neighbours" in found.notes


def test_file_and_dictionary_are_the_same(tiny_net, tmp_path):
    table = {"signals": {"J1": {"phases": ["rG", "rr"], "neighbours": ["J4"]}}}
    file = tmp_path / "table.json"
    file.write_text(json.dumps(table))
    from_file = read_network(tiny_net, table=str(file))
    from_dictionary = read_network(tiny_net, table=table)
    assert from_file.signals == from_dictionary.signals
    assert from_file.neighbour_lists == from_dictionary.neighbour_lists


def test_neighbours_of_a_table_are_directed(tiny_net):
    table = {
        "signals": {
            "J1": {"neighbours": []},
            "J3": {"neighbours": ["J4", "J2", "J1"]},
        }
    }
    found = read_network(tiny_net, table=table)
    assert found.neighbour_lists == ((), (0,), (3, 1, 0), ())
    assert "J1, J4: no neighbours" in found.notes


def test_signals_observe_the_neighbours_of_a_table_in_its_order(crossing_files):
    """J1 has 2 links, J4 4: in the observation of J3 the four come first."""
    net, routes = crossing_files
    table = entry("J3", neighbours=["J4", "J1"])
    env = SumoTrafficEnv(read_network(net, table=table), routes, seconds=200)
    try:
        env.reset(seed=0)
        while env.agents:
            observations, _, _, _, infos = env.step(dict.fromkeys(env.agents, 0))
    finally:
        env.close()
    states = {signal: info["state"] for signal, info in infos.items()}
    expected = np.concatenate([states["J3"], states["J4"], states["J1"]])
    assert observations["J3"].tolist() == expected.tolist()
    assert states["J4"].any()
    assert states["J1"].any()
    assert observations["J1"].tolist() == [*states["J1"], *states["J2"]]  # derived
    assert observations["J4"].tolist() == states["J4"].tolist()


def test_lanes_that_a_table_does_not_name_have_no_extension(tiny_net):
    """Of a signal that has extensions in the table; m_J2 would have some otherwise."""
    assert read_network(tiny_net).extensions["m_J2_0"]
    table = entry("J2", phases=["Gr", "rG"], extensions={})
    found = read_network(tiny_net, table=table)
    assert found.extensions["m_J2_0"] == ()
    assert set(found.extensions) == set(found.lanes)
    table = entry("J2", extensions={"s2_J2_0": ["k_m_0"]})
    found = read_network(tiny_net, table=table)
    assert found.extensions["m_J2_0"] == ()
    assert found.extensions["s2_J2_0"] == ("k_m_0",)
    table = entry("J1", extensions={})  # that of J2 stays derived
    assert read_network(tiny_net, table=table).extensions["m_J2_0"]


def test_table_can_leave_out_and_add_signals(tiny_net):
    table = {"signals": {"J1": {"phases": ["GG"]}, "J5": {"phases": ["Gr", "rG"]}}}
    found = read_network(tiny_net, table=table)
    assert [signal.id for signal in found.signals] == ["J2", "J3", "J4", "J5"]
    assert any(note.startswith("J1: left out") for note in found.notes)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"J1": {}}, ["signals"]),
        ({"signals": []}, ["signals"]),
        ([], ["signals"]),
        ({"signals": {}, "more": 1}, ["signals", "source"]),
        ({"signals": {}, "source": 1}, ["source=1", "text"]),
        ({"signals": {"J1": []}}, ["J1", "phases"]),
        (entry("J1", phase=[]), ["J1", "'phase'", "phases, neighbours, extensions"]),
        (entry("J1", phases="GG"), ["J1", "phases='GG'", "list"]),
        (entry("J1", phases=[1]), ["J1", "phases=[1]", "strings"]),
        (entry("J1", extensions={"a_J1_0": "x"}), ["J1", "extensions", "strings"]),
        (entry("J9"), ["J9", "J1, J2, J3, J4, J5"]),
        (entry("J1", neighbours=["J9"]), ["J9", "neighbours of J1"]),
        (entry("J1", neighbours=["J1"]), ["J1", "its own"]),
        (entry("J1", neighbours=["J5"]), ["J5", "left out"]),
        (entry("J1", neighbours=["J4", "J2", "J4"]), ["J4", "twice", "J1"]),
        (entry("J1", phases=["Gr", "rGr"]), ["rGr", "3 letters", "J1", "2"]),
        (entry("J1", phases=["Gr", "yG"]), ["yG", "J1", "G, g, r, s"]),
        (entry("J1", phases=["Gr", "rG", "Gr"]), ["Gr", "J1", "twice"]),
        (entry("J1", extensions={"m_J2_0": []}), ["m_J2_0", "J1", "a_J1_0, s1_J1_0"]),
        (entry("J1", extensions={"a_J1_0": ["nowhere_0"]}), ["a_J1_0", "nowhere_0"]),
    ],
)
def test_wrong_tables(tiny_net, refused, tmp_path, table, words):
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
