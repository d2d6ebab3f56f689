"""The real network of Monaco, and recorded episodes of the published environment, where they are.

    ILVF_MONACO_NET=most.net.xml ILVF_MONACO_EPISODES=FOLDER pytest tests/envs/traffic

The network is under the GPL and cannot be in this repository. Each recorded episode is a file
monaco_*.npz.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from ilvf.envs.traffic import SumoTrafficEnv, read_network
from ilvf.envs.traffic.network.table import read_table
from ilvf.envs.traffic.scenarios import monaco
from ilvf.envs.traffic.scenarios.download import hash_of

NET = os.environ.get("ILVF_MONACO_NET", "")
EPISODES = os.environ.get("ILVF_MONACO_EPISODES", "")
STEPS = 720

pytestmark = pytest.mark.skipif(not NET, reason="needs ILVF_MONACO_NET=most.net.xml")


@pytest.fixture(scope="module")
def scenario(tmp_path_factory):
    return monaco.monaco(NET, tmp_path_factory.mktemp("monaco"))


@pytest.fixture(scope="module")
def network(scenario):
    return read_network(scenario.net_file, table=scenario.table)


def test_the_downloaded_file_is_this_one(scenario):
    assert hash_of(scenario.net_file) == monaco.SHA256


def test_the_table_is_about_all_signals(network):
    assert [signal.id for signal in network.signals] == list(read_table(monaco.TABLE))
    assert len(network.lanes) == 116


def test_derived_phases_and_neighbours_differ(network, scenario):
    derived = read_network(scenario.net_file)
    same = [a.phases == b.phases for a, b in zip(network.signals, derived.signals, strict=True)]
    assert sum(same) == 11
    assert (derived.neighbours == derived.neighbours.T).all()
    assert (network.neighbours & ~derived.neighbours).sum() == 0


# ---------------------------------------------------------------------- recorded episodes
def recordings():
    return sorted(Path(EPISODES).glob("monaco_*.npz")) if EPISODES else []


@pytest.fixture(scope="module", params=recordings(), ids=lambda path: path.stem)
def recording(request):
    with np.load(request.param) as file:
        return {key: file[key] for key in file.files}


def test_recorded_table(recording, network):
    """Phases, neighbours and the lanes that a wave counts, in their order."""
    assert recording["node_ids"].tolist() == [signal.id for signal in network.signals]
    lanes = recording["lane_ids"].tolist()
    for i, signal in enumerate(network.signals):
        assert [phase for phase in recording["phases"][i].tolist() if phase] == [*signal.phases]
        neighbours = recording["neighbours"][i]
        assert neighbours[neighbours >= 0].tolist() == [*network.neighbour_lists[i]]
        for lane, counted in zip(signal.link_lanes, recording["link_counted"][i], strict=False):
            names = [lanes[k] for k in counted if k >= 0]
            assert names == [lane, *network.extensions[lane]]


@pytest.mark.slow
def test_recorded_episode(recording, network, scenario):
    """Every observation, reward and count of an episode."""
    env = SumoTrafficEnv(network, scenario.route_files, reward_cap=10, priority_waits=False)
    readings = []
    read = env.simulation.read
    env.simulation.read = lambda: readings.append(read()) or readings[-1]
    observations, _ = env.reset(seed=int(recording["seed"]))
    compare_observations(recording, 0, observations)
    names = env.possible_agents
    counted, approaches = (ids for _, _, ids, _ in env.senses.queries[:2])
    lanes = recording["lane_ids"].tolist()
    for t, actions in enumerate(recording["actions"]):
        observations, rewards, _, truncated, _ = env.step(dict(zip(names, actions, strict=True)))
        compare_observations(recording, t + 1, observations)
        assert [rewards[name] for name in names] == recording["reward"][t].tolist(), t
        vehicles, halting = readings[-1].counts
        place = [lanes.index(lane) for lane in counted]
        assert vehicles.tolist() == recording["lane_vehicles"][t + 1][place].tolist(), t
        place = [lanes.index(lane) for lane in approaches]
        assert halting.tolist() == recording["lane_halting"][t + 1][place].tolist(), t
        for total in ("running", "departed", "arrived", "backlog", "teleports"):
            assert readings[-1].totals[total] == recording[total][t], (t, total)
        assert all(truncated.values()) == (t + 1 == STEPS)
    env.close()


def compare_observations(recording, t, observations):
    """A signal's own wave, then those of its neighbours, as published."""
    (rows,) = np.nonzero(recording["obs_step"] == t)
    for row in rows:
        waves = [wave[~np.isnan(wave)] for wave in recording["obs"][row]]
        for own, others, found in zip(
            waves, recording["neighbours"], observations.values(), strict=True
        ):
            expected = np.concatenate([own, *(waves[j] for j in others if j >= 0)])
            assert np.array_equal(found, expected), t
