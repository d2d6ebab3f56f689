"""The environment reproduces recorded episodes of the published large grid, number by number."""

import functools

import numpy as np
import pytest
import torch
from tensordict import TensorDict

from helpers import ROOT
from ilvf.envs.options import SignalOptions
from ilvf.envs.traffic import Network, SumoTrafficEnv, read_network
from ilvf.envs.traffic.controllers import FixedCycle
from ilvf.envs.traffic.scenarios.large_grid import PHASES
from ilvf.envs.traffic.senses import Senses
from ilvf.envs.traffic.simulator.sumo_process import transition

DATA = ROOT / "tests" / "reference"
EPISODES = ("atsc_00_random", "atsc_01_cycle")
STEPS = {"atsc_00_random": 240, "atsc_01_cycle": 360}  # recorded: 240 and 720


@functools.cache
def reference_network() -> Network:
    """The network of the recorded episodes. A table adds the two phases its program lacks."""
    entry = {"phases": list(PHASES)}
    table = {"signals": {f"nt{k}": entry for k in range(1, 26)}}
    return read_network(DATA / "large_grid.net.xml.gz", table=table)


def reference_env(**options):
    return SumoTrafficEnv(
        reference_network(),
        DATA / "large_grid.rou.xml",
        additional=DATA / "large_grid.add.xml",
        detectors=True,
        **options,
    )


def generated_env(files):
    """The environment on the files that this library generates."""
    return SumoTrafficEnv(
        files.net_file,
        files.route_files,
        additional=files.additional_files,
        detectors=files.detectors,
    )


def recorded(name):
    return dict(np.load(DATA / f"{name}.npz"))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "steps"), STEPS.items())
def test_recorded_episodes(name, steps):
    """All four streams of traffic flow from step 180 on; the fixed cycle is followed for longer."""
    env = reference_env()
    follow(env, recorded(name), steps)
    env.close()


@pytest.mark.parametrize("name", EPISODES)
def test_recorded_episodes_on_the_generated_network(name, grid_files):
    """Its first five minutes: the roads and the traffic are the same."""
    env = generated_env(grid_files)
    follow(env, recorded(name), 60)
    env.close()


def follow(env, trace, steps):
    """Take the recorded actions and compare every number of every step."""
    names = trace["node_ids"].tolist()
    order = [trace["lane_ids"].tolist().index(lane) for lane in env.senses.lanes]
    readings = remember_readings(env)
    env.reset(seed=int(trace["seed"]))
    for t in range(steps):
        actions = dict(zip(names, trace["actions"][t], strict=True))
        _, rewards, _, _, infos = env.step(actions)
        vehicles, halting = readings[-1].counts
        assert np.array_equal(vehicles, trace["lane_vehicles"][t + 1][order]), t
        assert np.array_equal(halting, trace["lane_halting"][t + 1][order]), t
        assert np.array_equal([rewards[name] for name in names], trace["reward"][t]), t
        for total in ("running", "departed", "arrived"):
            assert readings[-1].totals[total] == trace[total][t], (t, total)
        if t + 1 < len(trace["obs"]):
            states = [infos[name]["state"] for name in names]
            assert np.array_equal(states, trace["obs"][t + 1]), t


def remember_readings(env):
    """A list that gets every reading of the environment's simulation."""
    readings = []
    read = env.simulation.read

    def remember():
        readings.append(read())
        return readings[-1]

    env.simulation.read = remember
    return readings


def test_recorded_signal_states():
    """Transitions and phases that the recorded actions lead to."""
    for name in EPISODES:
        trace = recorded(name)
        before = [PHASES[0]] * 25
        for actions, (yellow, green) in zip(trace["actions"], trace["signal_states"], strict=False):
            wanted = [PHASES[action] for action in actions]
            for waits in (True, False):  # no link of the grid gives way
                found = [transition(*pair, waits) for pair in zip(before, wanted, strict=True)]
                assert found == list(yellow)
            assert wanted == list(green)
            before = wanted


def test_fixed_cycle_takes_the_recorded_actions():
    senses = Senses(reference_network(), SignalOptions(), detectors=True)
    steps = torch.arange(720).view(720, 1, 1)
    rollout = FixedCycle(senses)(TensorDict({"episode": {"length": steps}}, [720, 1]))
    actions = rollout["agents", "action"][:, 0]
    assert np.array_equal(actions.numpy(), recorded("atsc_01_cycle")["actions"])


def test_backlog_is_paid_on_the_edges_where_vehicles_wait():
    """Avenues stay green, so many vehicles from the west find no room to enter."""
    paid = []
    for reward_backlog in (False, True):
        env = reference_env(seconds=300, reward_backlog=reward_backlog)
        env.reset(seed=0)
        while env.agents:
            _, rewards, _, _, _ = env.step(dict.fromkeys(env.agents, 0))
        paid.append(-np.array(list(rewards.values())))
        backlog = env.episode_statistics()["backlog"]
        env.close()
    outside = paid[1] - paid[0]
    signals = [signal.id for signal in reference_network().signals]
    assert {s for s, n in zip(signals, outside, strict=True) if n} == {"nt1", "nt11", "nt21"}
    assert outside.sum() == backlog > 20
