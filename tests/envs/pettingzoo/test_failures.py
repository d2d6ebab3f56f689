"""Environments that raise: one sentence with the exception and the step, in both kinds of run."""

import gc

import pytest
from mlflow.tracking import MlflowClient

import zoo
from helpers import TINY
from ilvf.envs import PettingZoo
from pettingzoo_helpers import line_env, play_random, worker_processes

OTHERS = ("env.", "trainer.max_epochs")
SMALL = tuple(argument for argument in TINY if not argument.startswith(OTHERS))


class Wordless(Exception):
    """An exception whose text cannot be read."""

    def __str__(self):
        raise RuntimeError("no text")


class Silent(BaseException):
    """An exception that `except Exception` does not catch."""


ERRORS = {
    "with lines": (RuntimeError("no\nlicence"), "RuntimeError: no"),
    "without text": (ValueError(), "ValueError"),
    "of a key": (KeyError("bob"), "KeyError: 'bob'"),
    "of a type": (TypeError("unhashable"), "TypeError: unhashable"),
    "of an assertion": (AssertionError(), "AssertionError"),
    "of the end of an iterator": (StopIteration(), "StopIteration"),
    "of memory": (MemoryError("big"), "MemoryError: big"),
    "of the interpreter": (SystemExit(2), "SystemExit: 2"),
    "without a base": (Silent("odd"), "Silent: odd"),
    "without a readable text": (Wordless(), "Wordless"),
    "long": (OSError("x" * 9999), "OSError: " + 200 * "x"),
}


def broken_line(method, error, at=1):
    """A line whose `method` raises `error` when it is called for the `at`-th time."""

    class Broken(zoo.Line):
        calls = 0

    def fail(self, *args, **kwargs):
        type(self).calls += 1
        if type(self).calls == at:
            raise error
        return getattr(zoo.Line, method)(self, *args, **kwargs)

    setattr(Broken, method, fail)
    return Broken


@pytest.mark.parametrize(("error", "words"), ERRORS.values(), ids=ERRORS)
def test_an_exception_in_a_step_is_named(error, words, refused, capsys):
    env = PettingZoo(broken_line("step", error, at=3), seed=0)
    with refused("line (copy 0) in step 3: the environment raised ", words):
        play_random(env, 3)
    assert "Traceback" in capsys.readouterr().err


METHODS = {
    "reset": (1, "in the first reset"),
    "observation_space": (1, "in the first reset"),
    "action_space": (2, "in the first reset"),
    "state": (1, "in the reset after step 0"),
}


@pytest.mark.parametrize("method", METHODS)
def test_an_exception_elsewhere_is_named(method, refused):
    at, where = METHODS[method]
    with refused(f"line (copy 0) {where}: the environment raised OSError: gone"):
        play_random(PettingZoo(broken_line(method, OSError("gone"), at), global_state=True), 2)


def test_an_exception_in_a_later_reset_is_named(refused):
    """Copy 1 is reset for the second time after its second step."""
    broken = broken_line("reset", OSError("gone"), at=4)
    with refused("line (copy 1) in the reset after step 2: the environment raised OSError: gone"):
        play_random(PettingZoo(broken, {"limit": 2}, num_envs=2, seed=0), 3)


@pytest.mark.parametrize("method", ["reset", "step", "state", "close"])
def test_ctrl_c_passes(method):
    broken = broken_line(method, KeyboardInterrupt)

    def episode():
        env = PettingZoo(broken, seed=0, global_state=True)
        play_random(env, 2)
        env.close()

    with pytest.raises(KeyboardInterrupt):
        episode()


@pytest.mark.parametrize("error", [RuntimeError("stuck"), SystemExit(3)], ids=["raise", "exit"])
def test_an_exception_in_close_is_named_and_all_copies_are_closed(error, refused):
    env = PettingZoo(broken_line("close", error, at=2), num_envs=3, seed=0)
    envs = list(env.copies.envs)
    with refused("line (copy 1) in close: the environment raised ", str(error)):
        env.close()
    assert type(envs[0]).calls == 3
    assert env.is_closed


def test_an_environment_that_cannot_be_printed_is_named_by_its_class(refused):
    class Strange(zoo.Line):
        metadata = None

        def step(self, actions):
            raise ValueError("no")

    with refused("Strange (copy 0) in step 1: the environment raised ValueError: no"):
        play_random(PettingZoo(Strange, seed=0), 1)


# ---------------------------------------------------------------------- workers
@pytest.fixture
def no_worker_left():
    yield
    gc.collect()
    assert not worker_processes()


CLOSING = {
    "close": "line (copy 0) in close: the environment raised RuntimeError: the simulator does not",
    "exit in close": "worker 0 (copies 0 to 0) ended with exit code 5 in close after step 0",
}


@pytest.mark.parametrize("fault", CLOSING)
def test_a_failure_in_close_in_a_worker_is_reported(fault, refused, no_worker_left):
    env = line_env(fault=fault, workers=1, num_envs=1)
    with refused(CLOSING[fault]):
        env.close()
    env.close()  # has nothing to close


def test_an_exception_in_a_reset_in_a_worker_is_named(refused, no_worker_left):
    env = line_env(fault="reset", workers=1, num_envs=1, limit=2)
    with refused("line (copy 0) in the reset after step 2: ", "RuntimeError: the simulator is not"):
        play_random(env, 3)


# ---------------------------------------------------------------------- runs
RUNS = {
    "raise": ("in step 12: the environment raised RuntimeError: the simulator says no", 0),
    "sys.exit": ("in step 12: the environment raised SystemExit: 4", 0),
    "sys.exit in a worker": ("in step 12: the environment raised SystemExit: 4", 2),
    "exit in a worker": ("ended with exit code 3 in step 12", 2),
    "unpaid": ("in step 12: there is no reward of bob", 0),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", RUNS)
def test_a_run_whose_environment_fails_is_closed_as_failed(case, out, recipe, capsys):
    """The second iteration of ten steps fails: exit code 2 and one sentence at the end."""
    words, workers = RUNS[case]
    task = ["env=pettingzoo", "env.task=zoo", f"env.workers={workers}", "algorithm.eval_steps=3"]
    kwargs = {"limit": 100, "fault": case.partition(" in ")[0], "fault_step": 12}
    task += [f"env.kwargs.{name}={value}" for name, value in kwargs.items()]
    assert recipe("mappo", *SMALL, *task, f"out={out}", "trainer.max_epochs=3") == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert words in last
    client = MlflowClient(f"sqlite:///{out / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("pettingzoo/zoo").experiment_id
    (run,) = client.search_runs([experiment])
    assert run.info.status == "FAILED"
    gc.collect()
    assert not worker_processes()
