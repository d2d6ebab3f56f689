"""Copies in worker processes: the same numbers, and every failure ends in one sentence."""

import gc
import os
import signal
import subprocess
import sys

import psutil
import pytest

import zoo
from helpers import ROOT
from ilvf.envs import PettingZoo
from ilvf.envs.pettingzoo import workers
from pettingzoo_helpers import line_env, play_random, worker_processes


@pytest.fixture
def no_worker_left():
    """No worker process is left after the test, whether its environment was closed or not."""
    yield
    gc.collect()
    assert not worker_processes()


@pytest.mark.slow
def test_workers_give_the_same_numbers(no_worker_left, tmp_path):
    """Five copies in two workers, over partial resets."""
    file = tmp_path / "closed"
    kwargs = dict(mask_in="info", with_state=True, terminated_at={"bob": 2})
    options = dict(num_envs=5, dying=True, global_state=True)
    env = line_env(workers=2, closing_file=str(file), **options, **kwargs)
    assert [w.last - w.first for w in env.copies.workers] == [2, 3]
    assert (play_random(env, 15) == play_random(line_env(**options, **kwargs), 15)).all()
    env.set_seed(0)
    assert (play_random(env, 3) == play_random(line_env(**options, **kwargs), 3)).all()
    assert not file.exists()
    env.close()
    assert file.exists()  # closing here closes the environments there


def test_a_worker_has_at_least_one_copy(no_worker_left):
    assert len(line_env(num_envs=1, workers=9).copies.workers) == 1


# ---------------------------------------------------------------------- failures
IN_THE_ENVIRONMENT = {
    "exit": ["worker 0 (copies 0 to 0) ended with exit code 3 in step 2", "resume=last"],
    "raise": [
        "line (copy 0) in step 2: the environment raised RuntimeError: the simulator says no"
    ],
    "sys.exit": ["line (copy 0) in step 2: the environment raised SystemExit: 4"],
    "newcomer": ["line (copy 0) in step 2: agents has dan now"],
}


def start_and_step(**options):
    """An environment with two workers after its first step, and a tensordict for the next."""
    env = line_env(workers=2, **options)
    td = env.rand_action(env.reset())
    td = env.step_and_maybe_reset(td)[1]
    return env, env.rand_action(td)


@pytest.mark.parametrize("fault", IN_THE_ENVIRONMENT)
def test_a_fault_of_an_environment_names_its_copy_and_step(fault, refused, no_worker_left, capfd):
    env, td = start_and_step(fault=fault)
    with refused(*IN_THE_ENVIRONMENT[fault]):
        env.step(td)
    has_traceback = 'raise RuntimeError("the simulator says no' in capfd.readouterr().err
    assert has_traceback == (fault == "raise")  # printed by the worker
    with refused("the workers of this environment have ended"):
        env.step(td)
    env.close()


def test_a_killed_worker(refused, no_worker_left):
    env, td = start_and_step()
    os.kill(env.copies.workers[1].process.pid, signal.SIGKILL)
    with refused(
        "worker 1 (copies 1 to 1) was killed by SIGKILL in step 2", "memory", "resume=last"
    ):
        env.step(td)


def test_an_interrupted_step_is_no_answer_to_the_next_call(refused, no_worker_left, monkeypatch):
    """Ctrl-C between question and answer, such as in a notebook."""
    env, td = start_and_step()

    def interrupted(workers):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(env.copies, "_receive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            env.step(td)
    with refused("the workers of this environment have ended; make it anew"):
        env.reset()


def test_workers_that_hang(refused, no_worker_left):
    """They would sleep for ten minutes; both are killed after `timeout`."""
    env, td = start_and_step(fault="sleep")
    env.copies.timeout = 0.2  # only now: the start of a worker can take longer
    with refused(
        "worker 0 (copies 0 to 0) and worker 1 (copies 1 to 1) gave no answer within "
        "timeout=0.2 s in step 2",
        "resume=last",
    ):
        env.step(td)


def test_the_start_of_a_worker_does_not_count_as_a_step(no_worker_left):
    """No process starts within a microsecond."""
    assert line_env(workers=1, timeout=1e-6).copies.workers


def test_a_worker_that_never_starts(refused, no_worker_left, monkeypatch):
    monkeypatch.setattr(workers, "START_LIMIT", 0.02)
    with refused("worker 0 (copies 0 to 1) gave no answer within 0.02 s while starting"):
        line_env(workers=1, fault="endless start", timeout=0.01)


def test_an_environment_that_cannot_be_made(refused, no_worker_left):
    with refused("Line cannot be made with kwargs={'fault': 'make'}: OSError: no licence"):
        line_env(workers=1, fault="make")


def test_a_function_that_cannot_be_pickled(refused, no_worker_left):
    with refused("cannot be sent to a worker", "top of a module"):
        PettingZoo(lambda: zoo.Line(), workers=2, num_envs=2)


# ---------------------------------------------------------------------- signals
def test_signals_to_all_processes_leave_workers_alive(no_worker_left):
    """Ctrl-C reaches the whole group; the parent finishes its iteration. Nothing is closed here."""
    env = line_env(workers=1)
    td = env.rand_action(env.reset())
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(env.copies.workers[0].process.pid, number)
    assert env.step(td)["next", "episode", "length"].tolist() == [[1], [1]]


ORPHAN = """
import sys
sys.path.insert(0, sys.argv[1])
if __name__ == "__main__":
    import numpy, zoo
    from ilvf.envs.pettingzoo.workers import WorkerCopies
    copies = WorkerCopies(zoo.sleeper, 1, workers=1, timeout=600)
    copies.reset({0: 0})
    print(copies.workers[0].process.pid, flush=True)
    copies.step(numpy.zeros((1, 3), int))
"""


@pytest.mark.slow
def test_a_worker_that_hangs_dies_with_its_parent(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(ORPHAN)
    command = [sys.executable, script, ROOT / "tests"]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    worker = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs([worker], timeout=60)
    assert not alive
