"""Episodes of `SumoTrafficEnv`: seeds, statistics, options, actions, files of trips."""

import warnings

import numpy as np
import pytest
import torch
from pettingzoo.test import parallel_api_test

from ilvf import UsageError
from ilvf.envs.traffic.draw import each_step
from ilvf.envs.traffic.simulator.episodes import EPISODE_SEED_STRIDE
from traffic_helpers import play, same


def test_equal_seeds_give_equal_episodes(town_env):
    first = town_env()
    second = town_env()
    start = play(first, 10, seed=4)
    assert same(start, play(second, 10, seed=4))
    play(second, 7)
    assert same(start, play(second, 10, seed=4))  # also after a part of another episode


def test_next_episode_has_another_seed_and_equals_a_reset_with_it(town_env):
    env = town_env()
    start = play(env, 10, seed=4)
    following = play(env, 10)
    assert not same(start, following)
    assert same(following, play(env, 10, seed=4 + EPISODE_SEED_STRIDE))


def test_episode_ends_after_its_seconds(town_env):
    env = town_env(seconds=100)
    records = play(env, 100, seed=0)
    assert len(records) == 21  # the reset and 20 steps
    assert env.agents == []
    with pytest.raises(UsageError, match="reset"):
        env.step({})
    assert np.all(env.state() == records[-1][0])


def test_statistics_of_an_episode(town_env):
    env = town_env(seconds=100)
    play(env, 20, seed=0)
    statistics = env.episode_statistics()
    assert statistics["running"] > 10
    assert 0 < statistics["speed"] < 20
    assert statistics["throughput"] > 0
    assert statistics["travel_time"] > 0
    cars = statistics["running"] + statistics["throughput"] + statistics["backlog"]
    assert cars == pytest.approx(20 * 400 * 100 / 3600, rel=0.15)  # some flows have no route
    env.reset()
    assert env.episode_statistics()["queue"] == 0
    assert env.episode_statistics()["throughput"] == 0


def test_queue_per_link_is_measured_in_every_second(town_env):
    """All signals keep phase 0, so that 20 steps of 5 s are 100 of 1 s."""
    seconds = town_env(control_interval=1, yellow=0)
    seconds.reset(seed=0)
    by_hand = []
    for _ in range(100):
        seconds.step(dict.fromkeys(seconds.agents, 0))
        by_link = [
            seconds.network.lanes.index(lane)
            for s in seconds.network.signals
            for lane in s.link_lanes
        ]
        by_hand.append(seconds.queues()[by_link].mean())
    steps = town_env(link_queue=True)
    plain = town_env()
    for env in (steps, plain):
        play(env, 20, lambda t, i: 0, seed=0)
    found = steps.episode_statistics()
    assert found.pop("link_queue") == pytest.approx(np.mean(by_hand))
    assert np.mean(by_hand) > 0
    assert found == plain.episode_statistics()
    steps.reset()
    assert steps.episode_statistics()["link_queue"] == 0


def test_single_steps_are_recovered_from_means_so_far():
    queue = torch.tensor([[0.0], [2.0], [7.0]])
    running = torch.tensor([[0.0], [1.0], [3.0]])
    count = torch.arange(1, 4).unsqueeze(-1)
    mean = queue.cumsum(0) / count
    assert each_step(mean, torch.ones(3)).tolist() == pytest.approx([0, 2, 7])
    weighted_mean = (queue * running).cumsum(0) / running.cumsum(0).clamp_min(1)
    assert each_step(weighted_mean, running)[1:].tolist() == pytest.approx([2, 7])


def test_parts_of_seconds_that_are_no_binary_fractions(town_env):
    options = dict(control_interval=0.1, yellow=0, options=["--step-length", "0.1"])
    assert town_env(seconds=1, **options).horizon == 10


def test_pettingzoo_contract(town_env):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parallel_api_test(town_env(seconds=50), num_cycles=25)


# ---------------------------------------------------------------------- options
OPTIONS = {
    "per": dict(per="lane"),
    "reward": dict(reward="wait"),
    "reward_cap": dict(reward_cap=1.0),
    "reward_scale": dict(reward_scale=0.1),
    "observe_neighbors": dict(observe_neighbors=False),
    "control_interval": dict(control_interval=4),
    "yellow": dict(yellow=3),
    "seconds": dict(seconds=50),
    "teleport": dict(teleport=5),  # vehicles that have waited for 5 s are taken away
    "options": dict(options=["--step-length", "0.5"]),
}


def hold_for_ten(t, i):
    return t // 10


@pytest.fixture(scope="module")
def default_episode(town):
    from ilvf.envs.traffic import SumoTrafficEnv

    env = SumoTrafficEnv(*town, seconds=100)
    records = play(env, 20, hold_for_ten, seed=0)
    env.close()
    return records


@pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
def test_every_option_changes_the_episode(town_env, default_episode, option):
    assert not same(default_episode, play(town_env(**option), 20, hold_for_ten, seed=0))


def test_without_options_the_episode_is_the_same(town_env, default_episode):
    assert same(default_episode, play(town_env(), 20, hold_for_ten, seed=0))


def test_options_of_sumo_as_text_and_as_words(town_env):
    text = play(town_env(options="--step-length 0.5"), 4, seed=0)
    words = play(town_env(options=("--step-length", "0.5")), 4, seed=0)
    assert same(text, words)


def test_traci_gives_the_same_episode(town_env):
    assert same(play(town_env(), 8, seed=3), play(town_env(simulator="traci"), 8, seed=3))


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (dict(per="road"), "per='road'"),
        (dict(reward="speed"), "reward='speed'"),
        (dict(yellow=5), "yellow=5"),
        (dict(yellow=-1), "yellow=-1"),
        (dict(seconds=3), "seconds=3"),
        (dict(reward_cap=0), "reward_cap=0"),
        (dict(reward="wait", reward_backlog=True), "reward_backlog"),
        (dict(timeout=0), "timeout=0"),
        (dict(control_interval=0, yellow=0), "control_interval=0"),
        (dict(seconds=float("inf")), "seconds=inf"),
        (dict(seconds=1e300), "seconds=1e+300"),
        (dict(control_interval=1e-9, yellow=0), "control_interval=1e-09"),
        (dict(teleport=1e300), "teleport=1e+300"),
        (dict(timeout=1e300), "timeout=1e+300"),
        (dict(teleport=-7), "teleport=-7"),
        (dict(reward_scale=float("nan")), "reward_scale=nan"),
        (dict(attempts=0), "attempts=0"),
        (dict(simulator="aimsun"), "simulator='aimsun'"),
        (dict(options='--delay "3'), "options="),
        (dict(options=5), "options=5"),
        (dict(additional="nothing.xml"), "nothing.xml"),
        (dict(additional=3), "additional=3"),
        (dict(tripinfo="/dev/null/trips"), "tripinfo=/dev/null/trips"),
        (dict(colour="red"), "colour"),
    ],
)
def test_wrong_options(town_env, option, words, refused):
    with refused(words):
        town_env(**option)


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("control_interval", dict(control_interval=2.5)),
        ("yellow", dict(yellow=1.5)),
        ("yellow", dict(yellow=1e-9)),
        ("control_interval", dict(options=["--step-length", "3"])),
    ],
)
def test_times_must_be_whole_steps_of_sumo(town_env, name, option, refused):
    with refused(f"{name}=", "no multiple of SUMO's step", "--step-length"):
        town_env(**option).reset(seed=0)


def test_a_simulation_without_lanes_is_refused(town_env, refused):
    with refused("--mesosim simulates no lanes"):
        town_env(options=["--mesosim"]).reset(seed=0)


def test_a_configuration_without_lanes_is_refused(town_env, tmp_path, refused):
    file = tmp_path / "c.sumocfg"
    file.write_text(
        '<configuration><mesoscopic><mesosim value="true"/></mesoscopic></configuration>'
    )
    with refused("--mesosim simulates no lanes"):
        town_env(options=["-c", str(file)]).reset(seed=0)


# ---------------------------------------------------------------------- actions
def test_wrong_actions(town_env, refused):
    env = town_env()
    env.reset(seed=0)
    with refused("needs an action", env.agents[3]):
        env.step(dict.fromkeys(env.agents[:3], 0))
    with refused("has no phase 9"):
        env.step(dict.fromkeys(env.agents, 9))


def test_signal_with_one_phase_is_no_agent(road_env):
    """It keeps running its own program, and vehicles pass it."""
    env = road_env()
    assert "J5" not in env.possible_agents
    play(env, 20, lambda t, i: t // 4, seed=0)
    assert env.episode_statistics()["running"] > 5


# ---------------------------------------------------------------------- files of trips
def test_trips_of_an_episode_are_in_a_file(town_env, tmp_path):
    """The file is complete when the next episode has begun."""
    env = town_env(tripinfo=tmp_path / "trips", seconds=150)
    play(env, 30, seed=7)
    statistics = env.episode_statistics()
    env.reset()
    text = (tmp_path / "trips" / "tripinfo-7.xml").read_text()
    durations = [float(part.split('"')[0]) for part in text.split(' duration="')[1:]]
    assert len(durations) == statistics["throughput"] > 3
    assert np.mean(durations) == pytest.approx(statistics["travel_time"], abs=0.01)
    env.close()
    assert sorted(path.name for path in (tmp_path / "trips").iterdir()) == [
        f"tripinfo-{7 + EPISODE_SEED_STRIDE}.xml",
        "tripinfo-7.xml",
    ]


def test_same_seed_twice_writes_one_file_of_trips(town_env, tmp_path):
    """The file that is being written is not reported as incomplete."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = town_env(tripinfo=tmp_path, seconds=25)
        for _ in range(2):
            play(env, 5, seed=3)
        env.close()
    assert [path.name for path in tmp_path.iterdir()] == ["tripinfo-3.xml"]


def test_full_disk_is_a_warning(town_env, tmp_path):
    """Trips that cannot be written are reported when the next episode has begun, or at the end."""
    following = f"tripinfo-{EPISODE_SEED_STRIDE}.xml"
    (tmp_path / "tripinfo-0.xml").symlink_to("/dev/full")
    (tmp_path / following).symlink_to("/dev/full")
    env = town_env(tripinfo=tmp_path, seconds=50)
    play(env, 10, seed=0)
    with pytest.warns(UserWarning, match=r"tripinfo-0.xml is not complete"):
        assert len(play(env, 10)) == 11
    with pytest.warns(UserWarning, match=f"{following} is not complete"):
        env.close()
