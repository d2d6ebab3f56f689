"""Traffic signals on SUMO: published traces, rules by hand, faults of the simulator, TorchRL."""

import dataclasses
import functools
import os
import signal
import subprocess
import sys
import time
import warnings
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from pettingzoo.test import parallel_api_test
from tensordict import TensorDict
from torchrl.envs.utils import check_env_specs

from helpers import ROOT
from ilvf import UsageError, check_env
from ilvf.envs import make_env
from ilvf.envs.pettingzoo.copies import APART
from ilvf.envs.traffic import Network, Signal, SumoTrafficEnv, Traffic, read_network
from ilvf.envs.traffic.controllers import FixedCycle, Greedy, MaxPressure, cycle
from ilvf.envs.traffic.draw import each_step
from ilvf.envs.traffic.env import NEXT
from ilvf.envs.traffic.scenarios.large_grid import PHASES, large_grid
from ilvf.envs.traffic.senses import Senses
from ilvf.envs.traffic.simulator.child import templates
from ilvf.envs.traffic.simulator.simulation import Reading
from ilvf.envs.traffic.simulator.sumo_process import transition
from ilvf.experiment.command_line import command_line
from traffic_nets import irregular, tiny

DATA = ROOT / "tests" / "reference"
FILES = {
    "routes": DATA / "large_grid.rou.xml",
    "additional": DATA / "large_grid.add.xml",
    "detectors": True,
}


@functools.cache
def given() -> Network:
    """The traces' network, whose own program lacks two of the five phases."""
    phases = {"phases": list(PHASES)}
    return read_network(
        DATA / "large_grid.net.xml.gz", table={"signals": {f"nt{k}": phases for k in range(1, 26)}}
    )


def grid(**options):
    return SumoTrafficEnv(given(), **FILES, **options)


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """Seven signals with 9 to 29 links and 2 to 4 phases, and cars: (network, routes)."""
    folder = tmp_path_factory.mktemp("town")
    net, routes = irregular(folder, iterations=16, seed=5), folder / "town.rou.xml"
    import sumolib

    edges = sorted(e.getID() for e in sumolib.net.readNet(str(net)).getEdges())
    rng = np.random.default_rng(0)
    ends = [rng.choice(edges, 2, replace=False) for _ in range(20)]
    flow = '<flow id="{}" from="{}" to="{}" begin="0" end="600" vehsPerHour="400" departPos="random_free"/>'
    routes.write_text(
        "<routes>" + "".join(flow.format(k, *pair) for k, pair in enumerate(ends)) + "</routes>"
    )
    return read_network(net), routes


@pytest.fixture
def small(town):
    """small(seconds=50, ...) makes the town's environment; afterwards no process must be left."""
    made = []

    def make(**options):
        made.append(SumoTrafficEnv(*town, **{"seconds": 100, **options}))
        return made[-1]

    yield make
    for env in made:
        env.close()
    assert not simulators()


def simulators():
    """The processes of simulators below this one, zombies included; not our own templates, which stay."""
    stay = [template.process.pid for template in templates.values()]
    return [
        p
        for p in psutil.Process().children(recursive=True)
        if p.pid not in stay
        and (p.status() == psutil.STATUS_ZOMBIE or any("sumo" in word for word in p.cmdline()))
    ]


def play(env, steps, action=lambda t, i: t + i, reset=True, **seed):
    """[(states, observations, rewards)] of an episode's start, beginning with the reset's (if there is one)."""
    out = []
    if reset:
        observations, infos = env.reset(**seed)
        out.append(
            (states(infos), np.concatenate(list(observations.values())), np.zeros(len(env.agents)))
        )
    for t in range(steps):
        counts = [env.action_space(a).n for a in env.agents]
        chosen = {a: action(t, i) % counts[i] for i, a in enumerate(env.agents)}
        observations, rewards, _, _, infos = env.step(chosen)
        out.append(
            (
                states(infos),
                np.concatenate(list(observations.values())),
                np.array(list(rewards.values())),
            )
        )
        if not env.agents:
            break
    return out


def states(infos):
    return np.concatenate([i["state"] for i in infos.values()])


def same(a, b):
    return len(a) == len(b) and all(
        np.array_equal(x, y) for p, q in zip(a, b, strict=True) for x, y in zip(p, q, strict=True)
    )


# ---------------------------------------------------------------------- the published traces
@pytest.mark.parametrize("network", ["given", "generated"])
def test_traces_are_met_exactly(network):
    """Both episodes side by side, every number of every step: twenty and sixty minutes, less on our own network."""
    ours = large_grid()
    other = {
        "routes": ours.route_files,
        "additional": ours.additional_files,
        "detectors": ours.detectors,
    }
    traces = [dict(np.load(DATA / f"atsc_{name}.npz")) for name in ("00_random", "01_cycle")]
    lengths = (240, 720) if network == "given" else (240, 120)
    envs = [
        grid() if network == "given" else SumoTrafficEnv(ours.net_file, **other) for _ in traces
    ]
    for env, trace in zip(envs, traces, strict=True):
        env.begin_reset(int(trace["seed"]))
    readings = [[watched(env)] for env in envs]
    for env in envs:
        env.reset()
    for t in range(max(lengths)):
        for env, trace, length in zip(envs, traces, lengths, strict=True):
            if t < length:
                env.begin_step(dict(zip(trace["node_ids"], trace["actions"][t], strict=True)))
        for env, trace, length, seen in zip(envs, traces, lengths, readings, strict=True):
            if t < length:
                *_, infos = out = env.step({})
                meets(trace, t, env, out[1], infos, seen[0])
    for env in envs:
        env.close()


def watched(env):
    """Where the environment's last reading will be."""
    place, read = SimpleNamespace(), env.simulation.read

    def watch():
        place.reading = read()
        return place.reading

    env.simulation.read = watch
    return place


def meets(trace, t, env, rewards, infos, seen):
    counts, totals = seen.reading.counts, seen.reading.totals
    place = {lane: k for k, lane in enumerate(trace["lane_ids"])}
    order = [place[lane] for lane in env.senses.lanes]
    assert np.array_equal(counts[0], trace["lane_vehicles"][t + 1][order]), t
    assert np.array_equal(counts[1], trace["lane_halting"][t + 1][order]), t
    assert np.array_equal([rewards[a] for a in trace["node_ids"]], trace["reward"][t]), t
    assert all(totals[k] == trace[k][t] for k in ("running", "departed", "arrived")), t
    if t + 1 < len(trace["obs"]):
        assert np.array_equal(
            [infos[a]["state"] for a in trace["node_ids"]], trace["obs"][t + 1]
        ), t


def test_the_traces_signal_states():
    for name in ("00_random", "01_cycle"):
        trace = np.load(DATA / f"atsc_{name}.npz")
        before = [PHASES[0]] * 25
        for actions, (yellow, green) in zip(trace["actions"], trace["signal_states"], strict=False):
            wanted = [PHASES[a] for a in actions]
            assert list(map(transition, before, wanted)) == list(yellow)
            assert wanted == list(green)
            before = wanted


def test_the_fixed_cycle_is_that_of_the_trace():
    env = SimpleNamespace(senses=Senses(given(), detectors=True))
    steps = torch.arange(720).view(720, 1, 1)
    chosen = FixedCycle(env.senses)(TensorDict({"episode": {"length": steps}}, [720, 1]))[
        "agents", "action"
    ]
    assert np.array_equal(chosen[:, 0].numpy(), np.load(DATA / "atsc_01_cycle.npz")["actions"])


# ---------------------------------------------------------------------- rules by hand
TRANSITIONS = {  # shown, wanted: between
    ("GGrr", "rrGG"): "yyrr",
    ("GGrr", "GrGr"): "Gyrr",  # who keeps green keeps it, who gains it waits for the second
    ("Ggrr", "rGgr"): "yGrr",
    ("Grr", "GGr"): "GGr",  # nobody loses green
    ("GGr", "GGr"): "GGr",
    ("Gsr", "rGG"): "yGr",
}


@pytest.mark.parametrize(("pair", "between"), TRANSITIONS.items())
def test_transition(pair, between):
    assert transition(*pair) == between


def test_the_transition_is_shown_for_two_seconds(town, tmp_path):
    """SUMO's own record of the states, second by second."""
    network, routes = town
    record = tmp_path / "states.xml"
    watch = "".join(
        f'<timedEvent type="SaveTLSStates" source="{s.id}" dest="{record}"/>'
        for s in network.signals[:1]
    )
    (tmp_path / "watch.add.xml").write_text(f"<additional>{watch}</additional>")
    env = SumoTrafficEnv(network, routes, additional=tmp_path / "watch.add.xml", seconds=15)
    play(env, 3, lambda t, i: t + 1, seed=0)
    env.close()
    first, *others = network.signals[0].phases
    found = [
        line.split('state="')[1].split('"')[0]
        for line in record.read_text().splitlines()
        if "tlsState " in line
    ]
    between = [
        transition(a, b)
        for a, b in zip((first, others[0], others[1]), (*others[:2], others[2]), strict=True)
    ]
    assert found == [s for a, b in zip(between, others, strict=False) for s in (a, a, b, b, b)]


def two_signals(**options):
    """a: lanes p (two links, to x and to q) and q2 (one link, to x); b: lane q (one link, to y)."""
    a = Signal("a", ("GGr", "rrG"), ("p", "p", "q2"), ("x", "q", "x"), (0.0, 0.0), (0, 1, 2))
    b = Signal("b", ("G",), ("q",), ("y",), (100.0, 0.0), (0,))
    lengths = {"p": 75.0, "q2": 15.0, "q": 30.0, "x": 150.0, "y": 7.5, "p0": 75.0}
    near = np.array([[False, True], [True, False]])
    network = Network(
        Path("two.net.xml"),
        (a, b),
        near,
        near * 100.0,
        lengths,
        {"p": ("p0",), "q2": (), "q": ()},
        (),
    )
    return Senses(network, **options)


def look(*counts):
    return Reading([np.array(c, float) for c in counts], {})


def test_waves_by_hand():
    reading = look([4, 11, 1], [3, 2, 1])  # p, q2, q
    assert two_signals(detectors=True).waves(reading) == pytest.approx(
        [0.8, 0.8, 2.0, 0.2]
    )  # 11 / 5 > 2
    assert two_signals(detectors=True, per="lane").waves(reading) == pytest.approx([0.8, 2.0, 0.2])
    senses = two_signals(detectors=False)
    assert senses.queries[0] == ("lane", "getLastStepVehicleNumber", ("p", "p0", "q2", "q"))
    waves = senses.waves(look([4, 6, 3, 1], [3, 2, 1]))
    assert waves == pytest.approx([10 / 20, 10 / 20, 3 / 2, 1 / 4])  # 150 m hold 20, 15 m 2, 30 m 4


REWARDS = {  # halting 3, 2, 1 on p, q2, q
    "queue": (dict(), [-8, -1]),  # 3 + 3 + 2
    "per lane": (dict(per="lane"), [-5, -1]),
    "scaled": (dict(reward_scale=0.5), [-4, -0.5]),
    "capped": (dict(reward_cap=2.0), [-6, -1]),
    "wait": (dict(reward="wait"), [-27, -5]),  # 10 + 10 + 7
    "wait per lane": (dict(reward="wait", per="lane"), [-17, -5]),
    # densities: p 5/10, q2 1/2, q 2/4, x 4/20, y 1/1; links of a: 2 p + q2 − 2 x − q
    "pressure": (dict(reward="pressure"), [-abs(1 + 0.5 - 0.4 - 0.5), -abs(0.5 - 1)]),
    "pressure per lane": (dict(reward="pressure", per="lane"), [-abs(0.5 + 0.5 - 0.2 - 0.5), -0.5]),
}


@pytest.mark.parametrize(("options", "expected"), REWARDS.values(), ids=REWARDS)
def test_rewards_by_hand(options, expected):
    senses = two_signals(detectors=True, **options)
    more = {
        "wait": [10, 7, 5],
        "pressure": [{"p": 5, "q2": 1, "x": 4, "q": 2, "y": 1}[lane] for lane in last(senses)],
    }
    reading = look([0, 0, 0], [3, 2, 1], more.get(senses.reward, []))
    assert senses.rewards(reading) == pytest.approx(expected)
    assert senses.queue(reading) == 2.0


def last(senses):
    return senses.queries[-1][2]


def test_who_waits_outside_is_paid_for():
    """Avenues are green for ever: many who come from the west find no room, and each is paid for where he waits."""
    paid = []
    for options in ({}, {"reward_backlog": True}):
        with closing(grid(seconds=300, **options)) as env:
            paid.append(-np.stack([r for *_, r in play(env, 60, lambda t, i: 0, seed=0)]))
            backlog = env.episode_statistics()["backlog"]
    outside = (paid[1] - paid[0])[-1]
    assert {s.id for s, n in zip(given().signals, outside, strict=True) if n} == {
        "nt1",
        "nt11",
        "nt21",
    }
    assert outside.sum() == backlog > 20


def test_observations_are_own_and_neighbours():
    senses = two_signals(detectors=True)
    own, both = senses.seen(None), senses.seen(senses.network.neighbours)
    assert [list(x) for x in own] == [[0, 1, 2], [3]]
    assert [list(x) for x in both] == [[0, 1, 2, 3], [3, 0, 1, 2]]


# ---------------------------------------------------------------------- controllers
def test_a_cycle_leaves_out_what_serves_nobody_new():
    phases = ("GGrr", "rGGr", "Grrr", "rrrG", "GGGG")
    assert cycle(Signal("s", phases, (), (), (0, 0), (0, 1, 2, 3))) == [0, 1, 3]
    assert cycle(Signal("s", phases, (), (), (0, 0), (0, 1))) == [
        0
    ]  # the others are for pedestrians


@pytest.mark.parametrize("per", ["link", "lane"])
def test_greedy_and_max_pressure_by_hand(per):
    senses = two_signals(detectors=True, per=per)

    def choose(rule, p, q2, q):
        state = torch.zeros(1, 2, max(senses.sizes))
        state[0, 0, : senses.sizes[0]] = torch.tensor([p, p, q2] if per == "link" else [p, q2])
        state[0, 1, 0] = q
        return rule(TensorDict({"agents": {"state": state}}, [1]))["agents", "action"].tolist()

    assert choose(Greedy(senses), 0.8, 0.6, 0.0) == [[0, 0]]
    assert choose(Greedy(senses), 0.4, 0.6, 2.0) == [[1, 0]]  # b has no second phase
    assert choose(MaxPressure(senses), 0.8, 0.6, 0.2) == [
        [0, 0]
    ]  # half of p leads to q: 0.8 − 0.2 / 2 > 0.6
    assert choose(MaxPressure(senses), 0.8, 0.6, 0.6) == [[1, 0]]  # 0.8 − 0.6 / 2 < 0.6


def test_rules_of_an_irregular_network(town):
    """Only phases that there are; two traffic-dependent rules leave less of a queue than no rule."""
    with closing(Traffic(*town, num_envs=2, seed=0, seconds=300)) as env:
        queue = {}
        counts = torch.tensor([len(s.phases) for s in env.network.signals])
        for name, rule in {**env.rules, "stuck": lambda: constant}.items():
            env.set_seed(0)
            rollout = env.rollout(60, rule(), break_when_any_done=False)
            assert (rollout["agents", "action"] < counts).all()
            queue[name] = float(rollout["next", "episode", "queue"][:, -1].mean())
        assert max(queue["greedy"], queue["max_pressure"]) < queue["stuck"], queue
        assert queue["fixed_cycle"] < queue["stuck"]


def constant(td):
    return td.set(
        ("agents", "action"), torch.zeros(td["agents", "state"].shape[:-1], dtype=torch.int64)
    )


# ---------------------------------------------------------------------- episodes
def test_seeds_and_resets(small):
    """Two runs at one seed agree, the next episode has a far seed, and a reset equals a fresh start."""
    first, second = small(), small()
    start = play(first, 20, seed=4)
    assert same(start, play(second, 20, seed=4))
    following = play(first, 20)
    assert not same(start, following)
    assert same(following, play(small(), 20, seed=4 + NEXT))
    play(second, 7)
    assert same(start, play(second, 20, seed=4))  # in the middle of an episode, too


def test_the_episode_and_its_statistics(small):
    env = small(seconds=100)
    out = play(env, 100, seed=0)
    assert len(out) == 21
    assert env.agents == []
    with pytest.raises(UsageError, match="reset"):
        env.step({})
    assert np.all(env.state() == out[-1][0])
    statistics = env.episode_statistics()
    assert statistics["running"] > 10
    assert 0 < statistics["speed"] < 20
    assert statistics["throughput"] > 0
    assert statistics["travel_time"] > 0
    cars = statistics["running"] + statistics["throughput"] + statistics["backlog"]
    assert cars == pytest.approx(20 * 400 * 100 / 3600, rel=0.15)  # some have nowhere to go
    env.reset()
    assert env.episode_statistics()["queue"] == 0
    assert env.episode_statistics()["throughput"] == 0


def test_statistics_are_means_so_far():
    queue, running = torch.tensor([[0.0], [2.0], [7.0]]), torch.tensor([[0.0], [1.0], [3.0]])
    count = torch.arange(1, 4).unsqueeze(-1)
    assert each_step(queue.cumsum(0) / count, torch.ones(3)).tolist() == pytest.approx([0, 2, 7])
    weighted = (queue * running).cumsum(0) / running.cumsum(0).clamp_min(1)
    assert each_step(weighted, running)[1:].tolist() == pytest.approx([2, 7])


OPTIONS = {
    "per": dict(per="lane"),
    "reward": dict(reward="wait"),
    "reward_cap": dict(reward_cap=1.0),
    "reward_scale": dict(reward_scale=0.1),
    "observe_neighbors": dict(observe_neighbors=False),
    "control_interval": dict(control_interval=4),
    "yellow": dict(yellow=3),
    "seconds": dict(seconds=50),
    "teleport": dict(teleport=5),
    "options": dict(options=["--step-length", "0.5"]),
}


@pytest.fixture(scope="module")
def usual(town):
    with closing(SumoTrafficEnv(*town, seconds=100)) as env:
        return play(env, 20, lambda t, i: t // 10, seed=0)


@pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
def test_every_option_changes_something(small, usual, option):
    """Also that vehicles which wait for 5 s are taken away."""
    assert not same(usual, play(small(**option), 20, lambda t, i: t // 10, seed=0))


def test_its_default_is_the_usual(small, usual):
    assert same(usual, play(small(), 20, lambda t, i: t // 10, seed=0))


def test_traci_gives_the_same(small):
    assert same(play(small(), 8, seed=3), play(small(simulator="traci"), 8, seed=3))


def test_pettingzoo_says_so(small):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parallel_api_test(small(seconds=50), num_cycles=25)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (dict(per="road"), "per='road'"),
        (dict(reward="speed"), "reward='speed'"),
        (dict(yellow=5), "yellow=5"),
        (dict(seconds=3), "seconds=3"),
        (dict(reward_cap=0), "reward_cap=0"),
        (dict(reward="wait", reward_backlog=True), "reward_backlog"),
        (dict(timeout=0), "timeout=0"),
        (dict(control_interval=0, yellow=0), "control_interval=0"),
        (dict(seconds=float("inf")), "seconds=inf"),
        (dict(teleport=-7), "teleport=-7"),
        (dict(reward_scale=float("nan")), "reward_scale=nan"),
        (dict(attempts=0), "attempts=0"),
        (dict(simulator="aimsun"), "simulator='aimsun'"),
        (dict(additional="nothing.xml"), "nothing.xml"),
        (dict(tripinfo="/dev/null/trips"), "tripinfo=/dev/null/trips"),
    ],
)
def test_wrong_options(small, option, words, refused):
    with refused(words):
        small(**option)


def test_wrong_actions(small, refused):
    env = small()
    env.reset(seed=0)
    with refused("needs an action", env.agents[3]):
        env.step(dict.fromkeys(env.agents[:3], 0))
    with refused("has no phase 9"):
        env.step(dict.fromkeys(env.agents, 9))


# ---------------------------------------------------------------------- faults
def test_the_simulator_is_killed(small):
    """The episode ends as truncated, a warning says why, and the next is as if nothing had happened."""
    env = small()
    before = play(env, 5, seed=0)[-1]
    os.kill(env.simulation.pid, signal.SIGKILL)
    names = list(env.agents)
    with pytest.warns(
        UserWarning,
        match="killed by SIGKILL.* after step 5 of the episode with seed 0.*failure 1 of 3",
    ):
        observations, rewards, terminated, truncated, infos = env.step(dict.fromkeys(names, 0))
    assert truncated == dict.fromkeys(names, True)
    assert not any(terminated.values())
    assert not any(rewards.values())
    assert np.array_equal(states(infos), before[0])  # what was seen last
    assert all(env.observation_space(a).contains(observations[a]) for a in names)
    assert env.agents == []
    again = play(env, 20)
    assert same(again, play(small(), 20, seed=NEXT))


def test_the_simulator_hangs(small):
    env = small()
    play(env, 2, seed=0)
    os.kill(env.simulation.pid, signal.SIGSTOP)
    env.simulation.timeout = 1.0  # from now on: a busy machine may take longer to start one
    started = time.monotonic()
    with pytest.warns(UserWarning, match="no answer within timeout=1 s"):
        assert len(play(env, 1, reset=False)) == 1
    assert time.monotonic() - started < 4
    assert env.agents == []
    env.simulation.timeout = 60.0
    assert len(play(env, 3)) == 4


def test_three_failures_in_a_row_are_too_many(small, refused):
    env = small(attempts=3, seconds=20)

    def fail():
        env.reset()
        os.kill(env.simulation.pid, signal.SIGKILL)
        env.step(dict.fromkeys(env.agents, 0))

    with pytest.warns(UserWarning, match="failure 1 of 3"):
        fail()
    with pytest.warns(UserWarning, match="failure 2 of 3"):
        fail()
    play(env, 4)  # one whole episode, and the count begins anew
    for k in (1, 2):
        with pytest.warns(UserWarning, match=f"failure {k} of 3"):
            fail()
    with refused("killed by SIGKILL", "the last of 3 failures in a row"):
        fail()
    play(env, 4)  # who wants to can go on


def test_it_dies_before_or_during_a_reset(small):
    env = small()
    env.reset(seed=0)
    os.kill(env.simulation.pid, signal.SIGKILL)
    with pytest.warns(UserWarning, match="when the episode with seed 9 began, it is tried again"):
        started = play(env, 5, seed=9)
    assert same(started, play(small(), 5, seed=9))


def test_a_step_that_nobody_waits_for(small):
    """As when another copy fails in the same step."""
    env = small()
    for dies in (False, True):
        env.reset(seed=0)
        env.begin_step(dict.fromkeys(env.agents, 1))
        if dies:
            os.kill(env.simulation.pid, signal.SIGKILL)
        started = play(env, 5, seed=9)
    assert same(started, play(small(), 5, seed=9))


@pytest.mark.parametrize(
    "option", [dict(control_interval=2.5), dict(yellow=1.5), dict(options=["--step-length", "3"])]
)
def test_parts_of_a_step_of_sumo(small, option, refused):
    """They would take longer than was asked for."""
    name = next(iter(option)) if "options" not in option else "control_interval"
    with refused(f"{name}=", "no multiple of its step"):
        small(**option).reset(seed=0)


def test_an_episode_of_steps_that_are_no_binary_fractions(small):
    assert (
        small(seconds=1, control_interval=0.1, yellow=0, options=["--step-length", "0.1"]).horizon
        == 10
    )


def broken(tmp_path, town, **files):
    """The town with other files: name → text."""
    network, routes = town
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    net = tmp_path / "net" if "net" in files else network.net_file
    return SumoTrafficEnv(net, tmp_path / "routes" if "routes" in files else routes, seconds=50)


def test_a_corrupt_net_file(tmp_path, town, refused):
    whole = town[0].net_file.read_text()
    for text in ("", whole[: len(whole) // 2], whole.replace("<net", "<nett")):
        with refused("net"):
            broken(tmp_path, town, net=text).reset(seed=0)
    half = tmp_path / "half.net.xml"
    half.write_text(whole[: len(whole) // 2])
    with refused("half.net.xml", "SUMO says", "At line/column"):  # it was whole when we read it
        SumoTrafficEnv(dataclasses.replace(town[0], net_file=half), town[1]).reset(seed=0)


def route(text):
    return f"<routes>{text}</routes>"


def test_a_route_over_missing_edges(tmp_path, town, refused):
    with refused("SUMO says", "nowhere", "not known"):
        broken(
            tmp_path,
            town,
            routes=route('<vehicle id="v" depart="0"><route edges="nowhere"/></vehicle>'),
        ).reset()


def test_a_vehicle_that_cannot_get_there(tmp_path, town):
    """A gap in a given route is an error of SUMO in mid-episode; its option to look over it helps."""
    edges = town[0].net_file.read_text().split('<edge id="')
    names = [e.partition('"')[0] for e in edges if not e.startswith((":", "<"))][1:]
    gap = route(f'<vehicle id="v" depart="7"><route edges="{names[0]} {names[20]}"/></vehicle>')
    env = broken(tmp_path, town, routes=gap)
    with pytest.warns(
        UserWarning,
        match="SUMO says: Vehicle 'v' has no valid route.*after step 1 of the episode with seed 0",
    ):
        assert len(play(env, 9, seed=0)) == 3
    env.close()
    env = SumoTrafficEnv(
        town[0], tmp_path / "routes", seconds=50, options=["--ignore-route-errors"]
    )
    assert len(play(env, 9, seed=0)) == 10
    env.close()


def test_a_signal_with_one_phase(tmp_path):
    """Has nothing to decide and goes on by itself."""
    net, routes = tiny(tmp_path), tmp_path / "routes"
    routes.write_text(route('<flow id="f" from="a_J1" to="J3_b" begin="0" end="99" period="5"/>'))
    env = SumoTrafficEnv(net, routes, seconds=100)
    assert "J5" not in env.possible_agents
    play(env, 20, lambda t, i: t // 4, seed=0)
    assert env.episode_statistics()["running"] > 5
    env.close()


def test_missing_detectors(town, refused):
    env = SumoTrafficEnv(*town, detectors=True)
    with refused("no lane-area detector called", "detectors=true"):
        env.reset()


def test_trips_are_recorded_where_there_is_room(small, tmp_path):
    """One file an episode, complete when the next has begun; a full disk is a warning."""
    env = small(tripinfo=tmp_path / "trips", seconds=200)
    play(env, 40, seed=7)
    trips, told = env.episode_statistics()["throughput"], env.episode_statistics()["travel_time"]
    env.reset()
    text = (tmp_path / "trips" / "tripinfo-7.xml").read_text()
    durations = [float(part.split('"')[0]) for part in text.split(' duration="')[1:]]
    assert len(durations) == trips > 3
    assert np.mean(durations) == pytest.approx(told, abs=0.01)
    env.close()
    assert sorted(p.name for p in (tmp_path / "trips").iterdir()) == [
        f"tripinfo-{7 + NEXT}.xml",
        "tripinfo-7.xml",
    ]
    with warnings.catch_warnings(), closing(small(tripinfo=tmp_path / "again", seconds=50)) as env:
        warnings.simplefilter("error")  # the file of a seed that comes again is being written
        for _ in range(2):
            play(env, 10, seed=3)
    full = small(tripinfo=tmp_path, seconds=50)
    (tmp_path / "tripinfo-0.xml").symlink_to("/dev/full")
    (tmp_path / f"tripinfo-{NEXT}.xml").symlink_to("/dev/full")
    play(full, 10, seed=0)
    with pytest.warns(UserWarning, match="tripinfo-0.xml is not complete"):
        assert len(play(full, 10)) == 11
    with pytest.warns(UserWarning, match=f"tripinfo-{NEXT}.xml is not complete"):
        full.close()


def test_nothing_is_left(small, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", None)
    env = small()
    play(env, 3, seed=0)
    child = psutil.Process(env.simulation.pid)
    env.close()
    env.close()
    assert not child.is_running()
    assert not list(tmp_path.iterdir())
    forgotten = small()
    forgotten.reset(seed=0)
    child = psutil.Process(forgotten.simulation.pid)
    forgotten.simulation._end()  # what happens when it is collected, and at exit
    assert not child.is_running()


def test_the_simulator_ends_with_a_killed_parent(town):
    code = (
        "import sys, time; from ilvf.envs.traffic import SumoTrafficEnv\n"
        "env = SumoTrafficEnv(sys.argv[1], sys.argv[2]); env.reset(seed=0)\n"
        "print(env.simulation.pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(town[0].net_file), str(town[1])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    psutil.wait_procs([child], timeout=5)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


# ---------------------------------------------------------------------- TorchRL
def test_specs(town):
    with closing(Traffic(*town, num_envs=2, seed=0, seconds=50)) as env:
        check_env_specs(env, seed=0)
        assert [n.split(":")[0] for n in check_env(env).notes] == ["no get_state and set_state"]
        sizes = [len(s.link_lanes) for s in env.network.signals]
        assert env.state_dim == max(sizes)
        near = [
            sum(sizes[j] for j in row.nonzero()[0]) + sizes[i]
            for i, row in enumerate(env.network.neighbours)
        ]
        assert env.observation_mask.sum(-1).tolist() == near
        td = env.reset()
        assert td["agents", "action_mask"][0].sum(-1).tolist() == [
            len(s.phases) for s in env.network.signals
        ]
        assert torch.equal(env.observation_graph, env.neighbours | torch.eye(7).bool())


def rollout(env, steps=25):
    """[B, T] of phases that depend on time and signal, past the end of an episode."""
    counts = torch.tensor([len(s.phases) for s in env.network.signals])
    td, out = env.reset(), []
    for t in range(steps):
        action = ((t + torch.arange(env.n_agents)) % counts).expand(*env.batch_size, -1)
        full, td = env.step_and_maybe_reset(td.set(("agents", "action"), action))
        out.append(full)
    return torch.stack(out, 1)


def test_copies_workers_and_single_environments_agree(town):
    """Copy k has the seed s + 100 003 k."""
    options = dict(num_envs=2, seed=3, seconds=50)
    with (
        closing(Traffic(*town, **options)) as here,
        closing(Traffic(*town, **options, workers=2)) as there,
    ):
        td = rollout(here)
        assert (td == rollout(there)).all()
        here.set_seed(3)
        assert (td == rollout(here)).all()
    env = SumoTrafficEnv(*town, seconds=50)
    for k in range(2):
        whole = play(env, 10, seed=3 + APART * k)
        reward = np.stack([r for *_, r in whole[1:]])
        assert np.array_equal(
            td["next", "agents", "reward"][k, :10, :, 0].numpy(), reward.astype(np.float32)
        )
    env.close()
    assert td["next", "truncated"][0].flatten().nonzero().flatten().tolist() == [9, 19]
    queue = td["next", "episode", "queue"]
    assert queue[0, 9] > 0
    assert not torch.equal(queue[0], queue[1])


def test_copies_run_at_the_same_time(town):
    """Every simulator has its actions before the first is awaited."""
    with closing(Traffic(*town, num_envs=3, seed=0, seconds=50)) as env:
        calls = []
        for k, copy in enumerate(env.copies.envs):
            for name in ("load", "step", "read"):
                spy(copy.simulation, name, calls, k)
        env.set_seed(1)
        td = env.reset()
        env.step(env.rand_action(td))
        asked = [*(("load", k) for k in range(3)), *(("read", k) for k in range(3))]
        assert calls == asked + [("step" if name == "load" else name, k) for name, k in asked]


def spy(thing, name, calls, k):
    inner = getattr(thing, name)
    setattr(thing, name, lambda *a: calls.append((name, k)) or inner(*a))


def test_a_fault_of_one_copy_ends_its_episode_only(town):
    with closing(Traffic(*town, num_envs=2, seed=0, seconds=50)) as env:
        td = env.reset()
        os.kill(env.copies.envs[1].simulation.pid, signal.SIGKILL)
        with pytest.warns(UserWarning, match="SIGKILL"):
            full, td = env.step_and_maybe_reset(env.rand_action(td))
        assert full["next", "truncated"].flatten().tolist() == [False, True]
        assert not full["next", "terminated"].any()
        assert td["episode", "length"].flatten().tolist() == [1, 0]
        env.rollout(3, auto_reset=False, tensordict=td)


def test_a_killed_worker_is_one_sentence(town, refused):
    env = Traffic(*town, num_envs=2, seed=0, seconds=50, workers=1)
    env.reset()
    running = simulators()
    assert len(running) == 3  # two and the worker's template
    env.copies.workers[0].process.kill()
    with refused("worker 0", "SIGKILL", "resume=last"):
        env.rand_step()
    env.close()
    psutil.wait_procs(running, timeout=5)
    assert not [
        p for p in running if p.is_running() and p.status() != psutil.STATUS_ZOMBIE
    ]  # init's, not ours


# ---------------------------------------------------------------------- by name
def test_make_env(town, refused):
    network, routes = town
    with closing(
        make_env(
            "sumo",
            net_file=str(network.net_file),
            routes=str(routes),
            seconds=20,
            seed=0,
            max_edges=1,
        )
    ) as env:
        assert env.horizon == 4
        assert env.rollout(4)["next", "truncated"][0, -1]
    with closing(make_env("large_grid", seed=0, options="--step-length 0.5", reward=None)) as env:
        assert (env.n_agents, env.n_actions, env.state_dim, env.observation_dim) == (25, 5, 12, 60)
        assert not env.masked
    with refused("env.routes=FILE"):
        make_env("sumo", net_file=str(network.net_file))
    with refused("large_grid", "monaco", "sumo"):
        make_env("grid")
    with refused("colour", "reward_scale"):
        make_env("large_grid", colour="red")
    files = {"net_file": str(network.net_file), "routes": str(routes)}
    for key, value in (
        ("options", '--delay "3'),
        ("options", 5),
        ("table", 3),
        ("routes", 5),
        ("max_edges", -1),
    ):
        with refused(f"{key}="):
            make_env("sumo", **{**files, key: value})


@pytest.mark.parametrize("name", ["large_grid", "monaco", "sumo"])
def test_configs_have_the_defaults_of_the_code(name):
    """Every key of the yaml is an argument; leaving it out changes nothing."""
    import inspect

    cfg = command_line(str(ROOT / "recipes" / "evaluate.py"), "doc", [f"env={name}"])["env"]
    known = {}
    for function in (Traffic.__init__, read_network, SumoTrafficEnv.__init__):
        known |= {k: p.default for k, p in inspect.signature(function).parameters.items()}
    extra = {"name", "net_file", "routes"} | ({"reward_cap"} if name == "monaco" else set())
    for key, value in cfg.items():
        assert key in known or key in extra, key
        if key not in extra:
            assert value == known[key] or (value is None and known[key] in ((), None)), key


def test_without_sumo():
    """`import ilvf` works, and who asks for traffic is told what to install."""
    code = (
        "import sys; sys.modules.update(libsumo=None, sumolib=None, traci=None, sumo=None)\n"
        "import ilvf, ilvf.envs, ilvf.envs.traffic\n"
        "for name in ('large_grid', 'monaco', 'sumo'):\n"
        "    try: ilvf.make_env(name)\n"
        "    except ilvf.UsageError as error: print(error)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert len(said) == 3
    assert all("needs SUMO" in line and "ilvf[sumo]" in line for line in said)


def test_the_child_imports_no_torch():
    """It would take seconds to start, and a gigabyte for eight."""
    code = (
        "import sys, ilvf.envs.traffic.env; print('torch' in sys.modules, 'libsumo' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split()
        == ["False"] * 2
    )


def test_evaluate_recipe(town, recipe, tmp_path, capsys, monkeypatch):
    """A rule by name, with its metrics and picture."""
    network, routes = town
    files = [f"env.net_file={network.net_file}", f"env.routes={routes}"]
    size = ["env.seconds=50", "algorithm.eval_episodes=2", f"out={tmp_path}"]
    assert recipe("evaluate", "policy=max_pressure", "env=sumo", *files, *size) == 0
    said = capsys.readouterr().out
    assert all(
        f"episode/{k}" in said for k in ("queue", "speed", "travel_time", "throughput", "teleports")
    )
    (picture,) = tmp_path.glob("max_pressure*-episode.png")
    assert picture.stat().st_size > 5000
