"""Random cities: what is read from them agrees with SUMO itself."""

import json
import subprocess
import sys

import numpy as np
import pytest

import traffic_nets
from ilvf.envs.traffic import read_network
from ilvf.envs.traffic.network.lights import request_rows
from ilvf.envs.traffic.network.read import read_file

CONTROLLED_LINKS = """
import json, sys, libsumo
libsumo.start(["sumo", "-n", sys.argv[1], "--no-warnings", "--no-step-log"])
light = libsumo.trafficlight
found = {}
for i in light.getIDList():
    found[i] = [[list(way) for way in link] for link in light.getControlledLinks(i)]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def walkable_net(tmp_path_factory):
    """A city with sidewalks, crossings, and short lanes for turning left."""
    options = ["--sidewalks.guess", "--crossings.guess", "--turn-lanes", "1"]
    return traffic_nets.irregular(tmp_path_factory.mktemp("walkable"), *options, iterations=30)


@pytest.fixture(scope="module", params=["irregular_net", "walkable_net"])
def net(request):
    return request.getfixturevalue(request.param)


# ---------------------------------------------------------------------- links
def test_links_are_those_that_sumo_controls(net):
    command = [sys.executable, "-c", CONTROLLED_LINKS, str(net)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    controlled = json.loads(done.stdout.splitlines()[-1])
    for signal in read_network(net).signals:
        ways = [way for link in controlled[signal.id] for way in link]
        ways = [way for way in ways if not way[0].startswith(":")]  # without pedestrians
        assert signal.link_lanes == tuple(lane for lane, _, _ in ways)
        assert signal.link_targets == tuple(lane for _, lane, _ in ways)
        assert {len(phase) for phase in signal.phases} == {len(controlled[signal.id])}


def test_rows_of_the_request_matrix_are_numbered_like_internal_lanes(net):
    """The internal lane :J_5_1 belongs to the row 5 + 1 of junction J."""
    for node in read_file(net).getNodes():
        for connection, row in request_rows(node).items():
            if connection.getViaLaneID():
                _, first, lane = connection.getViaLaneID().rsplit("_", 2)
                assert row == int(first) + int(lane)


# ---------------------------------------------------------------------- a city
def test_signals_are_of_many_kinds(irregular_net):
    signals = read_network(irregular_net).signals
    assert len(signals) >= 28
    assert len({len(signal.phases) for signal in signals}) > 2
    assert len({len(signal.link_lanes) for signal in signals}) > 5


def test_every_link_is_green_in_some_phase(irregular_net):
    for signal in read_network(irregular_net).signals:
        assert {len(phase) for phase in signal.phases} == {len(signal.link_lanes)}
        for letters in zip(*signal.phases, strict=True):
            assert set(letters) & set("Gg")


def test_lanes_lead_to_and_from_their_signal(irregular_net):
    net = read_file(irregular_net)
    for signal in read_network(irregular_net).signals:
        incoming = {net.getLane(lane).getEdge().getToNode().getID() for lane in signal.lanes}
        outgoing = {
            net.getLane(lane).getEdge().getFromNode().getID() for lane in signal.link_targets
        }
        assert incoming == outgoing == {signal.id}


def test_distances_of_a_city(irregular_net):
    found = read_network(irregular_net)
    position = np.array([signal.position for signal in found.signals])
    straight = np.linalg.norm(position[:, None] - position[None], axis=-1)
    assert np.isfinite(found.distance).all()
    assert (found.distance >= straight - 0.1).all()
    assert (found.distance == found.distance.T).all()
    assert (found.distance > 0).sum() == len(position) * (len(position) - 1)


def test_wider_rules_add_neighbours(irregular_net):
    found = read_network(irregular_net).neighbours
    wider = read_network(irregular_net, max_edges=5, max_distance=400).neighbours
    assert not found.diagonal().any()
    assert (wider >= found).all()
    assert wider.sum() > found.sum() > 0


# ---------------------------------------------------------------------- pedestrians
def test_crossings_are_no_links(walkable_net):
    """Their letters stay in the phases."""
    found = read_network(walkable_net)
    assert not any(lane.startswith(":") for lane in found.lane_lengths)
    assert any(len(signal.phases[0]) > len(signal.link_lanes) for signal in found.signals)


def test_phases_differ_for_vehicles(walkable_net):
    for signal in read_network(walkable_net).signals:
        shown = ["".join(phase[k] for k in signal.link_indices) for phase in signal.phases]
        assert len(set(shown)) == len(shown)


def test_only_short_lanes_are_extended(walkable_net):
    found = read_network(walkable_net)
    extended = [lane for lane, upstream in found.extensions.items() if upstream]
    assert extended
    assert max(found.lane_lengths[lane] for lane in extended) < 50
