"""Simulators are forked from one template process, and end with the process that started them."""

import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import psutil
import pytest

from ilvf.envs.traffic.simulator import child
from ilvf.envs.traffic.simulator.child import templates
from traffic_helpers import child_of, end_soon


def template():
    return psutil.Process(templates["libsumo"].process.pid)


def rewards_of(env, steps=8, **seed):
    """All rewards of an episode's start."""
    env.reset(**seed)
    return np.array([list(step(env, t).values()) for t in range(steps)])


def step(env, t):
    """The rewards of one step."""
    _, rewards, _, _, _ = env.step(dict.fromkeys(env.agents, t % 2))
    return rewards


# ---------------------------------------------------------------------- the template
def test_simulators_are_forked_from_one_template(road_env):
    envs = [road_env() for _ in range(3)]
    rewards = [rewards_of(env, seed=7) for env in envs]
    assert rewards[0].any()
    assert all(np.array_equal(rewards[0], others) for others in rewards[1:])
    assert [child_of(env).ppid() for env in envs] == [template().pid] * 3


def test_simulators_have_one_thread(road_env):
    """A second thread would make SUMO slower."""
    env = road_env()
    rewards_of(env)
    assert template().num_threads() == 1
    assert child_of(env).num_threads() == 1


def test_closing_one_simulator_leaves_the_others(road_env):
    first = road_env()
    second = road_env()
    expected = rewards_of(first, seed=7)
    processes = [child_of(first), child_of(second)]
    first.close()
    assert [process.is_running() for process in processes] == [False, True]
    assert np.array_equal(rewards_of(second, seed=7), expected)


def test_starts_leave_no_open_files(road_env):
    road_env().close()
    files = open_files()
    envs = [road_env(), road_env()]
    for env in envs:
        env.reset()
    first, second = (child_of(env).num_fds() for env in envs)
    assert first == second  # a child has no files of its sibling
    assert open_files()[1] > files[1]
    for env in envs:
        env.close()
    assert open_files() == files


def open_files():
    """Of this process, and of the template once it waits for requests."""
    while template().status() != psutil.STATUS_SLEEPING:
        time.sleep(0.001)
    return psutil.Process().num_fds(), template().num_fds()


def test_killed_template_costs_no_episode(road_env, tmp_path):
    env = road_env(tripinfo=tmp_path)
    expected = rewards_of(road_env(), 12, seed=3)
    env.reset(seed=3)
    old = template()
    for t, rewards in enumerate(expected):
        if t == 5:
            old.kill()
            assert end_soon(old)
        assert list(step(env, t).values()) == rewards.tolist()
    process = child_of(env)
    env.close()  # waits for the end nevertheless
    assert "</tripinfos>" in (tmp_path / "tripinfo-3.xml").read_text()
    assert end_soon(process)
    assert np.array_equal(rewards_of(road_env(), 12, seed=3), expected)
    assert template().pid != old.pid


def test_start_beside_a_dying_template(road_env):
    """At most one attempt fails, because it waits for the end of the template."""
    road_env().close()
    for _ in range(2):
        template().kill()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert rewards_of(road_env(attempts=2)).any()


def test_hanging_template_is_replaced(road_env, monkeypatch):
    """A child that is not even forked within the time of grace."""
    road_env().close()
    old = template()
    old.suspend()
    monkeypatch.setattr(child, "GRACE", 0.1)
    lost = child.Child(child.get_ready("libsumo"))
    assert lost.pid is None
    assert lost.describe_end() == "was not started, perhaps for lack of memory"
    lost.kill()
    lost.end()
    assert not old.is_running()
    monkeypatch.undo()
    assert rewards_of(road_env()).any()


# ---------------------------------------------------------------------- causes of an end
def test_end_of_a_simulator_without_its_template(road_env):
    env = road_env()
    env.reset(seed=0)
    processes = template(), child_of(env)
    for process in processes:
        process.kill()
    assert end_soon(*processes)
    with pytest.warns(UserWarning, match="SUMO closed its pipe after step 0"):
        step(env, 0)
    assert rewards_of(env).any()


def test_simulator_that_crashes(road_env):
    env = road_env()
    env.reset(seed=0)
    child_of(env).send_signal(signal.SIGSEGV)
    with pytest.warns(UserWarning, match="SUMO was killed by SIGSEGV after step 0"):
        step(env, 0)


def test_simulator_that_cannot_start(road_env):
    env = road_env()
    env.close()
    setup = env.simulation.setup
    env.simulation.setup = {"simulator": "none"}
    env.simulation.start()
    env.begin_reset(seed=5)
    env.simulation.setup = setup
    cause = "exit code 1: .*missing 5 required.* when the episode with seed 5 began"
    with pytest.warns(UserWarning, match=cause):
        env.reset()


def test_simulator_starts_in_the_current_folder_and_environment(road_env, tmp_path, monkeypatch):
    """The template was started in others."""
    road_env().close()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ILVF_TEST_NAME", "log")
    env = road_env(options=["--log", "${ILVF_TEST_NAME}.txt", "--verbose"])
    rewards_of(env, 2, seed=0)
    env.close()
    assert "Loading net-file" in (tmp_path / "log.txt").read_text()


# ---------------------------------------------------------------------- the parent process
PARENT = """
import os, signal, sys
from ilvf.envs.traffic import SumoTrafficEnv
from ilvf.envs.traffic.simulator.child import templates

def start():
    env = SumoTrafficEnv(sys.argv[1], sys.argv[2], seconds=100)
    env.reset(seed=0)
    print(templates["libsumo"].process.pid, env.simulation.pid, flush=True)
    return env

env = start()
input()
"""
FORK = """
if (pid := os.fork()) == 0:
    env.close()  # has no effect on the parent's simulator
    start().close()
    os._exit(0)
os.waitpid(pid, 0)
env.step(dict.fromkeys(env.agents, 0))
print(len(env.agents), "signals", flush=True)
"""


@pytest.fixture
def parent(road):
    """parent(code) has an environment, prints the ids of template and child, and waits for a line.

    Then it runs the code.
    """
    network, routes = road
    running = []

    def start(code=""):
        command = [sys.executable, "-c", PARENT + code, str(network.net_file), str(routes)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        running.append(subprocess.Popen(command, text=True, **pipes))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


def go_on(process):
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV),
        ("sys.exit()", 0),
    ],
    ids=["killed", "crash", "exit"],
)
def test_simulators_end_with_their_parent(parent, code, exit_code):
    """Without a call of close."""
    process = parent(code)
    processes = [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]
    go_on(process)
    assert process.wait() == exit_code
    assert end_soon(*processes)


def test_fork_has_a_template_of_its_own(parent):
    process = parent(FORK)
    ours = process.stdout.readline().split()
    go_on(process)
    theirs = process.stdout.readline().split()
    assert len(theirs) == 2
    assert not set(ours) & set(theirs)
    assert process.stdout.readline() == "4 signals\n"
    assert process.wait() == 0
