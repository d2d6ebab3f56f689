"""Simulators that die or hang, and files that do not fit."""

import dataclasses
import gc
import os
import signal

import numpy as np
import pytest

import traffic_nets
from ilvf.envs.traffic import SumoTrafficEnv
from ilvf.envs.traffic.simulator.episodes import EPISODE_SEED_STRIDE
from traffic_helpers import child_of, play, play_on, same, states_of

NO_ROUTE = '<vehicle id="v" depart="0"><route edges="nowhere"/></vehicle>'


def kill_simulator(env):
    os.kill(env.simulation.pid, signal.SIGKILL)


# ---------------------------------------------------------------------- a lost simulator
def test_killed_simulator_truncates_its_episode(town_env):
    """The last observation is repeated, the rewards are 0, and a warning gives the cause."""
    env = town_env()
    states, _, _ = play(env, 5, seed=0)[-1]
    kill_simulator(env)
    agents = list(env.agents)
    cause = "killed by SIGKILL.* after step 5 of the episode with seed 0.*failure 1 of 3"
    with pytest.warns(UserWarning, match=cause):
        observations, rewards, terminated, truncated, infos = env.step(dict.fromkeys(agents, 0))
    assert truncated == dict.fromkeys(agents, True)
    assert not any(terminated.values())
    assert not any(rewards.values())
    assert np.array_equal(states_of(infos), states)
    assert all(env.observation_space(a).contains(observations[a]) for a in agents)
    assert env.episode_statistics()["interrupted"] == 1
    assert env.agents == []


def test_episode_after_a_killed_simulator_is_as_usual(town_env):
    env = town_env()
    env.reset(seed=0)
    kill_simulator(env)
    with pytest.warns(UserWarning, match="SIGKILL"):
        play_on(env, 1)
    assert same(play(env, 10), play(town_env(), 10, seed=EPISODE_SEED_STRIDE))


def test_hanging_simulator_is_lost_after_its_timeout(town_env):
    env = town_env()
    play(env, 2, seed=0)
    os.kill(env.simulation.pid, signal.SIGSTOP)
    env.simulation.timeout = 0.2  # from now on, because starting one can take longer
    with pytest.warns(UserWarning, match="no answer within timeout=0.2 s after step 2"):
        assert len(play_on(env, 5)) == 1
    assert env.agents == []
    env.simulation.timeout = 60.0
    assert len(play(env, 3)) == 4


def test_attempts_count_failures_in_a_row(town_env, refused):
    env = town_env(attempts=3, seconds=10)

    def fail():
        env.reset()
        kill_simulator(env)
        play_on(env, 1)

    for _ in range(2):  # the second time after a whole episode
        for k in (1, 2):
            with pytest.warns(UserWarning, match=f"failure {k} of 3"):
                fail()
        play(env, 2)
    for k in (1, 2):
        with pytest.warns(UserWarning, match=f"failure {k} of 3"):
            fail()
    with refused("killed by SIGKILL", "the last of 3 failures in a row"):
        fail()
    assert len(play(env, 2)) == 3  # a caller that goes on gets a new simulator


def test_simulator_killed_at_a_reset_is_replaced(town_env):
    env = town_env()
    env.reset(seed=0)
    kill_simulator(env)
    with pytest.warns(UserWarning, match="when the episode with seed 9 began, it is tried again"):
        started = play(env, 5, seed=9)
    assert same(started, play(town_env(), 5, seed=9))


@pytest.mark.parametrize("dies", [False, True])
def test_reset_without_waiting_for_a_step(town_env, dies):
    """This happens when another copy fails in the same step."""
    env = town_env()
    env.reset(seed=0)
    env.begin_step(dict.fromkeys(env.agents, 1))
    if dies:
        kill_simulator(env)
    assert same(play(env, 5, seed=9), play(town_env(), 5, seed=9))


# ---------------------------------------------------------------------- files
@pytest.mark.parametrize(
    "damage",
    [lambda text: "", lambda text: text[: len(text) // 2], lambda text: text.replace("<net", "<n")],
    ids=["empty", "half", "another element"],
)
def test_corrupt_net_file(town, tmp_path, damage, refused):
    network, routes = town
    corrupt = tmp_path / "corrupt.net.xml"
    corrupt.write_text(damage(network.net_file.read_text()))
    with refused("corrupt.net.xml"):
        SumoTrafficEnv(corrupt, routes)


def test_net_file_that_is_damaged_after_it_was_read(town, make_road, tmp_path, refused):
    network, routes = town
    half = tmp_path / "half.net.xml"
    text = network.net_file.read_text()
    half.write_text(text[: len(text) // 2])
    env = make_road(dataclasses.replace(network, net_file=half), routes)
    with refused("half.net.xml", "SUMO says", "At line/column"):
        env.reset(seed=0)


def test_route_over_a_missing_edge(town, make_road, tmp_path, refused):
    routes = traffic_nets.write_routes(tmp_path / "routes", [NO_ROUTE])
    with refused("SUMO says", "nowhere", "not known"):
        make_road(town[0], routes).reset(seed=0)


def test_vehicle_without_a_connected_route(town, make_road, tmp_path):
    """SUMO reports it at the vehicle's departure; its option to ignore route errors helps."""
    network, _ = town
    parts = network.net_file.read_text().split('<edge id="')[1:]
    edges = [part.partition('"')[0] for part in parts if not part.startswith(":")]
    gap = f'<vehicle id="v" depart="7"><route edges="{edges[0]} {edges[20]}"/></vehicle>'
    routes = traffic_nets.write_routes(tmp_path / "routes", [gap])
    env = make_road(network, routes, seconds=50)
    cause = "SUMO says: Vehicle 'v' has no valid route.*after step 1 of the episode with seed 0"
    with pytest.warns(UserWarning, match=cause):
        assert len(play(env, 9, seed=0)) == 3
    env = make_road(network, routes, seconds=50, options=["--ignore-route-errors"])
    assert len(play(env, 9, seed=0)) == 10


def test_missing_detectors(town_env, refused):
    with refused("no lane-area detector called", "detectors=true"):
        town_env(detectors=True).reset()


# ---------------------------------------------------------------------- nothing is left
def test_close_leaves_no_process_and_no_file(town_env, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    env = town_env()
    play(env, 3, seed=0)
    child = child_of(env)
    env.close()
    env.close()
    assert not child.is_running()
    assert not list(tmp_path.iterdir())


def test_environment_without_references_ends_its_simulator(road):
    env = SumoTrafficEnv(*road, seconds=100)
    env.reset(seed=0)
    child = child_of(env)
    del env
    gc.collect()
    assert not child.is_running()
