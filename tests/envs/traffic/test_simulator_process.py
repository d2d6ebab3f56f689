"""The process of a simulator: the time for its start and its answers, and how it can end."""

import os
import signal
import sys

import pytest

from ilvf.envs.options import SignalOptions
from ilvf.envs.traffic.batched import LONGEST, patience_with_workers
from ilvf.envs.traffic.simulator import simulation
from ilvf.envs.traffic.simulator.sumo_process import START_LIMIT
from traffic_helpers import play, play_on


class Message:
    """A message that calls a function in the process that receives it."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


# ---------------------------------------------------------------------- times
@pytest.mark.parametrize("simulator", ["libsumo", "traci"])
def test_start_has_a_limit_of_its_own(simulator, town_env):
    """A start takes longer than a millisecond; a later reset and steps get their usual time."""
    env = town_env(simulator=simulator, timeout=0.001)
    env.reset(seed=0)
    env.simulation.timeout = 60.0
    assert len(play(env, 2)) == 3


def test_replaced_simulator_has_the_time_of_a_start(town_env):
    env = town_env(timeout=0.001)
    for seed in (0, 1):
        env.reset(seed=seed)
        os.kill(env.simulation.pid, signal.SIGKILL)
        env.simulation.timeout = 60.0  # the answer is the end of the process
        with pytest.warns(UserWarning, match="killed by SIGKILL"):
            play_on(env, 1)
        env.simulation.timeout = 0.001


def test_simulator_that_hangs_while_it_starts(town_env, monkeypatch, refused):
    monkeypatch.setattr(simulation, "START_LIMIT", 0.2)
    env = town_env(timeout=0.1, attempts=1)
    os.kill(env.simulation.pid, signal.SIGSTOP)
    with refused("SUMO gave no answer within the 0.2 s that it has for its start"):
        env.reset(seed=0)


def test_simulator_that_hangs_in_a_step_has_the_timeout(town_env):
    env = town_env()
    env.reset(seed=0)
    os.kill(env.simulation.pid, signal.SIGSTOP)
    env.simulation.timeout = 0.2
    with pytest.warns(UserWarning, match="no answer within timeout=0.2 s after step 0"):
        play_on(env, 1)


def test_large_timeout_counts_for_the_start_too(town_env, monkeypatch, refused):
    monkeypatch.setattr(simulation, "START_LIMIT", 0.1)
    env = town_env(timeout=0.3, attempts=1)
    os.kill(env.simulation.pid, signal.SIGSTOP)
    with refused("the 0.3 s that it has for its start"):
        env.reset(seed=0)


@pytest.mark.parametrize(("timeout", "attempts", "copies"), [(0.001, 1, 1), (60.0, 3, 4)])
def test_workers_wait_longer_than_their_simulators(timeout, attempts, copies):
    options = SignalOptions(timeout=timeout, attempts=attempts)
    patience = patience_with_workers(options, copies)
    assert patience > attempts * copies * START_LIMIT
    assert patience_with_workers(SignalOptions(attempts=10**15), copies) == LONGEST


# ---------------------------------------------------------------------- ends
ENDS = {
    "os._exit": (Message(os._exit, 3), "ended with exit code 3: it did not say why"),
    "os._exit(0)": (Message(os._exit, 0), "ended with exit code 0"),
    "SystemExit": (Message(sys.exit, 4), "ended with exit code 4"),
    "SystemExit with text": (Message(sys.exit, "no licence"), "exit code 1: no licence"),
    "ValueError": (Message(int, "abc"), "exit code 1: ValueError: invalid literal"),
    "two lines": (Message(int, "a\nb"), "exit code 1: ValueError"),
    "abort": (Message(os.abort), "was killed by SIGABRT"),
    "real-time signal": (Message(os.kill, 0, signal.SIGRTMIN + 1), "was killed by "),
}
KILL_AFTER_LOG = "import os; os.write(2, b'{}'); os.kill(os.getpid(), {})"


@pytest.mark.parametrize(("message", "words"), ENDS.values(), ids=ENDS)
def test_process_that_ends_in_a_step(message, words, town_env, refused):
    """The sentence has the step and the episode."""
    env = town_env(attempts=1)
    play(env, 2, seed=7)
    env.simulation._request("step", message)
    with refused("SUMO ", words, "after step 2 of the episode with seed 7", "town"):
        play_on(env, 1)


@pytest.mark.parametrize("number", [signal.SIGALRM, signal.SIGKILL])
def test_what_sumo_says_of_a_child_that_was_killed_is_no_cause(number, town_env, refused):
    """SUMO's own program notices that its connection is gone, which is not why it is gone."""
    env = town_env(attempts=1)
    play(env, 2, seed=7)
    log = "Error: tcpip::Socket::recvAndCheck @ recv: peer shutdown"
    env.simulation._request("step", Message(exec, KILL_AFTER_LOG.format(log, int(number))))
    with refused("SUMO was killed by ", signal.Signals(number).name):
        play_on(env, 1)


@pytest.mark.parametrize(("message", "words"), ENDS.values(), ids=ENDS)
def test_process_that_ends_at_a_reset(message, words, town_env, refused):
    env = town_env(attempts=1)
    env.simulation.arguments = [message]
    with refused("SUMO ", words, "when the episode with seed 5 began", "town"):
        env.reset(seed=5)


@pytest.mark.parametrize("name", ["nothing", "__init__", "close"])
def test_request_that_raises(name, town_env, refused):
    env = town_env()
    env.reset(seed=0)
    env.episodes.requested = "reset"
    env.simulation._request(name, ())
    with refused("SUMO says: "):
        env.reset()


def test_working_folder_that_disappears(town_env, tmp_path, monkeypatch, refused):
    """It is gone before the child has changed to it."""
    monkeypatch.setattr("os.getcwd", lambda: str(tmp_path / "gone"))
    env = town_env(attempts=1)
    with refused("SUMO ended with exit code 1", "FileNotFoundError"):
        env.reset(seed=0)
