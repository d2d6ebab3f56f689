"""Tasks: functions that make environments, found by name or given."""

import functools
import operator
import os
import sys

import numpy as np
import pytest
from gymnasium import spaces
from pettingzoo import ParallelEnv

import zoo
from ilvf.envs import PettingZoo, make_env
from pettingzoo_helpers import line_env, play_random

NAMES = {
    "mpe2.simple_spread_v9": "no mpe2.simple_spread_v9 in the package mpe2",
    "nowhere_to_be_found.thing": "pip install nowhere_to_be_found",
    "zoo:lion": "zoo has no lion",
    "mpe2": "mpe2 has no parallel_env",
    "zoo:possible": "zoo has no possible",
    "..": "write package.module",
    "zoo.": "write package.module",
    "a b": "write package.module",
    "3": "write package.module",
    "zoo:Line.reset": "zoo has no Line.reset",
}
# Most of these would end the tests, or wait for input, if they were called.
NEVER_CALLED = {
    "os:abort": "Python's own module os",
    "os:_exit": "Python's own module os",
    "sys:exit": "Python's own module sys",
    "builtins:input": "Python's own module builtins",
    "builtins:exec": "Python's own module builtins",
    "shutil:rmtree": "Python's own module shutil",
    "os.path:exists": "Python's own module os",
    "subprocess:run": "Python's own module subprocess",
    "this": "Python's own module this",
    "zoo:cwd": "zoo:cwd is a builtin function",
    "zoo:Path": "zoo:Path is the class Path, which is no PettingZoo ParallelEnv",
    "zoo:os": "zoo:os is an object of type module and no function",
    "zoo:AGENTS": "zoo:AGENTS is a tuple of 3 entries and no function",
    "zoo:ann": "zoo:ann is an object of type Line and no function",
    "zoo:TurnBased": "is a turn-based AECEnv, need a ParallelEnv; name the parallel_env",
    "numpy:zeros": "numpy:zeros is a builtin function",
    "gymnasium:Env": "gymnasium:Env is the class Env",
}
RESULTS = {
    "zoo:turn_based": "makes a turn-based AECEnv, need a ParallelEnv; name the parallel_env",
    "mpe2.simple_spread_v3:env": "makes a turn-based AECEnv, need a ParallelEnv; name the parallel",
    "zoo:nothing": "zoo:nothing makes an object of type object, need a PettingZoo ParallelEnv",
    "zoo:Unseeded": "makes a Unseeded whose reset takes no seed; declare reset(self, seed=None",
}


@pytest.mark.parametrize("task", {**NEVER_CALLED, **RESULTS})
def test_a_task_that_makes_no_parallel_environment_is_refused(task, refused):
    with refused({**NEVER_CALLED, **RESULTS}[task]):
        make_env(f"pettingzoo/{task}")


@pytest.mark.parametrize("task", NAMES)
def test_a_wrong_name_is_refused(task, refused):
    with refused(NAMES[task]):
        make_env(f"pettingzoo/{task}")


def test_a_name_without_a_function_means_parallel_env():
    assert make_env("pettingzoo/zoo:").agents == zoo.AGENTS


FUNCTIONS = {
    "of Python": (os.abort, "abort is a builtin function"),
    "of Python, with arguments": (functools.partial(sys.exit, 3), "is a builtin function"),
    "written in Python": (os.path.join, "Python's own module posixpath"),
    "an object of Python": (operator.methodcaller("clear"), "Python's own module operator"),
    "a class": (dict, "dict is the class dict, which is no PettingZoo ParallelEnv"),
    "an environment": (zoo.ann, "is an object of type Line and no function", "lambda: env"),
    "None": (None, "None is None and no function"),
    "a number": (3, "3 is 3 and no function"),
    "None made": (lambda: None, "makes None, need a PettingZoo ParallelEnv"),
    "a class made": (lambda: zoo.Line, "makes an object of type type"),
    "an observation made": (lambda: {"ann": 1}, "makes a dict with the keys ann"),
    "a coroutine function": (lambda: (x for x in ()), "makes an object of type generator"),
}


@pytest.mark.parametrize(
    ("function", "words"), [(f, w) for f, *w in FUNCTIONS.values()], ids=FUNCTIONS
)
def test_another_function_is_refused(function, words, refused):
    with refused(*words):
        PettingZoo(function)


def test_an_environment_that_is_made_once_for_all_copies_is_refused(refused):
    one = zoo.Line()
    with refused("made one twice"):
        PettingZoo(lambda: one, num_envs=2)


# ---------------------------------------------------------------------- failures of the function
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("no licence\nat all"), "RuntimeError: no licence"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyError("N"), "KeyError: 'N'"),
        (TypeError(), "TypeError"),
        (BaseException("odd"), "BaseException: odd"),
    ],
    ids=["RuntimeError", "SystemExit", "KeyError", "TypeError", "BaseException"],
)
def test_a_function_that_raises_is_named_with_its_arguments(error, words, refused, capsys):
    def make(size):
        raise error

    with refused("make cannot be made with kwargs={'size': 3}: ", words):
        PettingZoo(make, {"size": 3})
    assert "in make" in capsys.readouterr().err  # the traceback


def test_unknown_arguments_are_refused_without_a_traceback(refused, capsys):
    with refused("Line cannot be made with kwargs={'colour': 'red'}: TypeError", "'colour'"):
        line_env(colour="red")
    assert not capsys.readouterr().err


def test_ctrl_c_in_a_function_passes():
    def make():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PettingZoo(make)


@pytest.mark.parametrize(
    "line", ["raise ValueError('no display')", "import sys; sys.exit(3)", "x ="]
)
def test_a_module_that_cannot_be_imported_is_refused(line, refused, tmp_path, monkeypatch):
    name = f"broken_task_{abs(hash(line))}"
    (tmp_path / f"{name}.py").write_text(line)
    monkeypatch.syspath_prepend(tmp_path)
    with refused(f"{name} cannot be imported: "):
        make_env(f"pettingzoo/{name}")


# ---------------------------------------------------------------------- spaces
class Bare(zoo.Line):
    """A line without methods for its spaces."""

    observation_space = ParallelEnv.observation_space
    action_space = ParallelEnv.action_space


class WithDicts(Bare):
    def __init__(self):
        super().__init__()
        names = self.possible_agents
        self.observation_spaces = {a: zoo.Line.observation_space(self, a) for a in names}
        self.action_spaces = {a: zoo.Line.action_space(self, a) for a in names}


class WithDictsAsMethods(WithDicts):
    def __init__(self):
        super().__init__()
        self.observation_space = self.observation_spaces
        self.action_space = self.action_spaces


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("cls", [WithDicts, WithDictsAsMethods])
def test_spaces_may_be_dicts(cls):
    rollouts = [play_random(PettingZoo(make, num_envs=2, seed=0), 8) for make in (cls, zoo.Line)]
    assert (rollouts[0] == rollouts[1]).all()


def test_spaces_that_are_missing_are_refused(refused):
    with refused("neither the method action_space(agent) nor the dict action_spaces"):
        PettingZoo(Bare)

    class Half(Bare):
        action_spaces = dict.fromkeys(zoo.AGENTS, spaces.Discrete(2))

    with refused("neither the method observation_space(agent) nor the dict observation_spaces"):
        PettingZoo(Half)


@pytest.mark.parametrize("space", [None, 3, (2,), spaces.Discrete])
def test_what_is_no_space_is_refused(space, refused):
    class Odd(zoo.Line):
        def observation_space(self, agent):
            return space

    with refused("line (copy 0) in the first reset: the observation space of ann is"):
        PettingZoo(Odd)


@pytest.mark.parametrize("key", ["bob", "dan"])
def test_a_dict_without_the_space_of_an_agent_is_refused(key, refused):
    class Odd(Bare):
        action_spaces = {key: spaces.Discrete(2)}  # noqa: RUF012

    with refused("the action space of ann is None, need a space of gymnasium"):
        PettingZoo(Odd)


ACTIONS = {  # space → what is needed instead
    "Tuple": (spaces.Tuple([spaces.Discrete(2)]), "need Discrete, MultiDiscrete, MultiBinary"),
    "too many choices": (spaces.MultiDiscrete([2, 10**6]), "each of 1 to 100000 choices"),
    "whole numbers": (spaces.Box(0, 3, (2,), np.int64), "need a Box of floats"),
    "an empty Box": (spaces.Box(0, 1, (0,)), "free to vary"),
    "a fixed Box": (spaces.Box(1, 1, (2,)), "free to vary"),
    "bounds beyond float32": (spaces.Box(-1e300, 1e300, (2,), np.float64), "finite bounds"),
}


@pytest.mark.parametrize(("space", "words"), ACTIONS.values(), ids=ACTIONS)
def test_other_actions_are_refused(space, words, refused):
    class Odd(zoo.Line):
        def action_space(self, agent):
            return space

    with refused("ann has actions", words):
        PettingZoo(Odd)


def test_two_kinds_of_actions_are_refused(refused):
    class Odd(zoo.Line):
        def action_space(self, agent):
            return spaces.Box(0, 1, (2,)) if agent == "bob" else spaces.Discrete(2)

    with refused("actions of ann, cat are discrete", "a Box"):
        PettingZoo(Odd)


def test_observations_without_numbers_are_refused(refused):
    with refused("all observations are empty"):
        line_env(space=spaces.Box(-1, 1, (0,)))
