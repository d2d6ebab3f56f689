"""`python -m ilvf.envs.NAME [TASK] [KEY=VALUE ...]`."""

import pytest

from ilvf.envs import encircle, tabular
from ilvf.envs.shown import options_of, shown_env

GAME = ("game", "switch")


def test_options_are_those_of_the_environment(capsys):
    env, name = shown_env(encircle, ["n_agents=6", "horizon=7"], seed=0)
    assert (env.n_agents, env.horizon, name) == (6, 7, "encircle")
    assert encircle.__doc__ in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["n_agents=4"], ["switch", "n_agents=4"]])
def test_the_task_may_be_left_out(words):
    env, game = shown_env(tabular, words, task=GAME)
    assert game == "switch"
    assert env.n_agents == (4 if words else 3)


def test_the_task_is_an_option_too(refused):
    env, game = shown_env(tabular, ["game=gifts", "n_agents=4"], task=GAME)
    assert game == "gifts"
    assert env.n_agents == 4
    with refused("switch and game=... name two tasks"):
        shown_env(tabular, ["switch", "game=gifts"], task=GAME)


def test_dots_make_nested_options():
    assert options_of(["kwargs.N=3", "kwargs.deep.x=[1, 2]", "horizon=5"]) == {
        "kwargs": {"N": 3, "deep": {"x": [1, 2]}},
        "horizon": 5,
    }


def test_help_says_how_to_call_it(capsys):
    with pytest.raises(SystemExit) as ended:
        shown_env(tabular, ["--help"], task=GAME)
    assert ended.value.code == 0
    assert "python -m ilvf.envs.tabular" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["second", "=3", "kwargs.=3", "a=[", "a.b=1", "n_agents=x"])
def test_a_wrong_option_is_one_sentence(word, refused):
    with refused(word.partition("=")[0].partition(".")[0]):
        shown_env(tabular, ["switch", "n_agents=4", word], task=GAME)
