"""How simulators start and end: one template process, forked for each of them."""

import gc
import signal
import subprocess
import sys
import time
import warnings
from contextlib import closing

import numpy as np
import psutil
import pytest

from ilvf.envs.traffic import SumoTrafficEnv, read_network
from ilvf.envs.traffic.simulator import child
from ilvf.envs.traffic.simulator.child import templates
from traffic_nets import tiny


@pytest.fixture(scope="module")
def road(tmp_path_factory):
    """(network, routes): four signals and some cars."""
    folder = tmp_path_factory.mktemp("road")
    net, routes = tiny(folder), folder / "road.rou.xml"
    routes.write_text(
        '<routes><flow id="f" from="a_J1" to="J3_b" begin="0" end="99" period="3"/></routes>'
    )
    return read_network(net), routes


@pytest.fixture
def make(road):
    """make(simulator="traci", ...) is an environment, which is closed afterwards."""
    made = []
    yield lambda **options: made.append(SumoTrafficEnv(*road, seconds=100, **options)) or made[-1]
    for env in made:
        env.close()


def play(env, steps=8, **seed):
    """All rewards of an episode's start."""
    env.reset(**seed)
    return np.array(
        [list(env.step(dict.fromkeys(env.agents, t % 2))[1].values()) for t in range(steps)]
    )


def process(env):
    return psutil.Process(env.simulation.pid)


def template(module="libsumo"):
    return psutil.Process(templates[module].process.pid)


def sumos(env):
    """SUMO as processes of its own, below the environment's child."""
    return [p for p in process(env).children() if p.name().startswith("sumo")]


def gone(*processes):
    """Whether they end in time, apart from what init has not yet looked at."""
    _, alive = psutil.wait_procs(processes, timeout=5)
    return all(p.status() == psutil.STATUS_ZOMBIE for p in alive)


# ---------------------------------------------------------------------- the template
def test_all_simulators_are_forked_from_one_template(make):
    envs = [make() for _ in range(3)]
    rewards = [play(env, seed=7) for env in envs]
    assert rewards[0].any()
    assert all(np.array_equal(rewards[0], r) for r in rewards[1:])
    assert [process(env).ppid() for env in envs] == [template().pid] * 3
    threads = [p.num_threads() for p in (template(), *map(process, envs))]
    assert threads == [1] * 4  # a second one makes SUMO slower
    children = [process(env) for env in envs]
    envs[0].close()
    assert [c.is_running() for c in children] == [False, True, True]
    assert np.array_equal(play(envs[1], seed=7), rewards[0])
    for env in envs:
        env.close()
    assert not any(c.is_running() for c in children)


def open_files():
    """Of this process, and of the template when it has nothing to do."""
    while template().status() != psutil.STATUS_SLEEPING:
        time.sleep(0.001)
    return psutil.Process().num_fds(), template().num_fds()


def test_starts_leave_no_open_files_behind(make):
    make().close()
    before = open_files()
    envs = [make(), make()]
    for env in envs:
        env.reset()
    first, second = (process(env).num_fds() for env in envs)
    assert first == second  # nothing of its sibling's
    assert open_files()[1] > before[1]
    for env in envs:
        env.close()
    assert open_files() == before


def test_a_killed_template_costs_no_episode(make, tmp_path):
    env, other = make(tripinfo=tmp_path), make()
    expected = play(other, 12, seed=3)
    env.reset(seed=3)
    old = template()
    for t, rewards in enumerate(expected):
        if t == 5:
            old.kill()
            assert gone(old)
        assert list(env.step(dict.fromkeys(env.agents, t % 2))[1].values()) == rewards.tolist()
    child = process(env)
    env.close()  # waits for its end nevertheless
    assert "</tripinfos>" in (tmp_path / "tripinfo-3.xml").read_text()
    assert gone(child)
    assert np.array_equal(play(make(), 12, seed=3), expected)
    assert template().pid != old.pid


def test_a_start_beside_a_dying_template(make):
    """One failure at most: whoever hears of its death waits for it."""
    for _ in range(3):
        template().kill()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert play(make(attempts=2)).any()


def test_the_fate_of_a_simulator_without_template(make):
    env = make()
    env.reset(seed=0)
    children = template(), process(env)
    for one in children:
        one.kill()
    assert gone(*children)
    with pytest.warns(UserWarning, match="SUMO closed its pipe after step 0"):
        env.step(dict.fromkeys(env.agents, 0))
    assert play(env).any()


def test_a_template_that_hangs_is_replaced(make, monkeypatch):
    """A child that has not even been forked when patience ends."""
    make().close()
    old = template()
    old.suspend()
    monkeypatch.setattr(child, "GRACE", 0.2)
    lost = child.Child("libsumo")
    assert (lost.pid, lost.fate()) == (None, "was not started, perhaps for lack of memory")
    lost.kill()
    lost.end()
    assert not old.is_running()
    monkeypatch.undo()
    assert play(make()).any()


def test_the_end_of_a_simulator_is_explained(make):
    env = make()
    env.reset(seed=0)
    process(env).send_signal(signal.SIGSEGV)
    with pytest.warns(UserWarning, match="SUMO was killed by SIGSEGV after step 0"):
        env.step(dict.fromkeys(env.agents, 0))
    env.close()
    env.simulation._setup = {"simulator": "none"}
    env.simulation.start()
    env.begin_reset()
    env.simulation._setup = make().simulation._setup
    with pytest.warns(
        UserWarning,
        match="SUMO ended with exit code 1: .*missing 4 required.* when the episode with seed 1000000007 began",
    ):
        env.reset()


# ---------------------------------------------------------------------- where it starts
def test_every_simulator_is_where_we_are(make, tmp_path, monkeypatch):
    """Folder and environment variables are those of its start, not those of the template's."""
    make().close()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ILVF_TEST_NAME", "said")
    env = make(options=["--log", "${ILVF_TEST_NAME}.txt", "--verbose"])
    play(env, 2, seed=0)
    env.close()
    assert "Loading net-file" in (tmp_path / "said.txt").read_text()


PARENT = """
import os, signal, sys, time
from ilvf.envs.traffic import SumoTrafficEnv
from ilvf.envs.traffic.simulator.child import templates

def start():
    env = SumoTrafficEnv(sys.argv[1], sys.argv[2], seconds=100)
    env.reset(seed=0)
    print(templates["libsumo"].process.pid, env.simulation.pid, flush=True)
    return env

env = start()
"""
FORK = """
if (pid := os.fork()) == 0:
    env.close()  # which is not ours
    start().close()
    os._exit(0)
os.waitpid(pid, 0)
env.step(dict.fromkeys(env.agents, 0))
print(len(env.agents), "signals", flush=True)
"""


@pytest.fixture
def parent(road):
    """parent(code) is a process that has an environment and runs the code; on its first line, template and child."""
    running = []

    def start(code):
        command = [sys.executable, "-c", PARENT + code, str(road[0].net_file), str(road[1])]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return running[-1]

    yield start
    for p in running:
        p.kill()
        p.communicate()


def said(parent):
    return [psutil.Process(int(word)) for word in parent.stdout.readline().split()]


@pytest.mark.parametrize("end", ["parent.kill", "crash", "exit"])
def test_all_end_with_their_parent(parent, end):
    codes = {"crash": "os.kill(os.getpid(), signal.SIGSEGV)", "exit": "sys.exit()"}
    one = parent("input()\n" if end == "parent.kill" else "time.sleep(0.5)\n" + codes[end])
    processes = said(one)
    if end == "parent.kill":
        one.kill()
    assert one.wait() == {"parent.kill": -signal.SIGKILL, "crash": -signal.SIGSEGV, "exit": 0}[end]
    assert gone(*processes)


def test_a_fork_has_a_template_of_its_own(parent):
    """And leaves its parent's simulation alone."""
    one = parent(FORK)
    ours, theirs = one.stdout.readline().split(), one.stdout.readline().split()
    assert not set(ours) & set(theirs)
    assert one.stdout.readline() == "4 signals\n"
    assert one.wait() == 0


def test_a_forgotten_environment_ends(road):
    env = SumoTrafficEnv(*road, seconds=100)
    env.reset(seed=0)
    child = process(env)
    del env
    gc.collect()
    assert not child.is_running()


# ---------------------------------------------------------------------- SUMO as one more process
def test_traci_is_another_process(make, monkeypatch):
    monkeypatch.setenv("LIBSUMO_AS_TRACI", "1")  # which would make it libsumo again
    env = make(simulator="traci")
    expected = play(make(), seed=2)
    assert np.array_equal(play(env, seed=2), expected)
    (sumo,) = sumos(env)
    env.close()
    assert not sumo.is_running()


def test_faults_of_that_process(make):
    """Killed from outside, with our child, and when it hangs."""
    env = make(simulator="traci")
    env.reset(seed=0)
    sumos(env)[0].kill()
    with pytest.warns(UserWarning, match="SUMO says: Connection closed by SUMO. after step 0"):
        env.step(dict.fromkeys(env.agents, 0))
    assert play(env, 20).any()  # and the count of failures begins anew
    for end in ("kill", "suspend"):
        env.reset()
        child, sumo = process(env), sumos(env)[0]
        getattr(child if end == "kill" else sumo, end)()
        env.simulation.timeout = 1.0 if end == "suspend" else 60.0
        with pytest.warns(
            UserWarning, match="SIGKILL" if end == "kill" else "no answer within timeout=1 s"
        ):
            env.step(dict.fromkeys(env.agents, 0))
        assert gone(child, sumo)
        env.simulation.timeout = 60.0


def test_errors_of_that_process(road, tmp_path, refused):
    """Before we have reached it, and after."""
    routes = tmp_path / "routes"
    routes.write_text(
        '<routes><vehicle id="v" depart="7"><route edges="nowhere"/></vehicle></routes>'
    )
    for word, options in (("hurry", ["--hurry"]), ("nowhere", [])):
        env = SumoTrafficEnv(road[0], routes, simulator="traci", options=options, timeout=20)
        with closing(env), refused("SUMO says", word):
            env.reset(seed=0)


def test_a_window_without_display(make, refused, monkeypatch):
    monkeypatch.setenv("DISPLAY", "")
    with refused("SUMO says", "unable to open display"):
        make(simulator="gui").reset(seed=0)
