"""Lists and ranges of a sweep, from text."""

import pytest

from ilvf.experiment.options import training_schema
from ilvf.options import short_names
from ilvf.studies.space import Range, Values, axis_of, fixed_and_varied

LEAVES = training_schema("ilvf_p").leaves("pettingzoo")


@pytest.mark.parametrize(
    ("key", "text", "values"),
    [
        ("algorithm.tau", "0.5,1,2", (0.5, 1.0, 2.0)),
        ("algorithm.epochs", "3", (3,)),
        ("algorithm.share", "true,false", (True, False)),
        ("algorithm.value_clip", "null,0.2", (None, 0.2)),
        ("algorithm.discretise", "soft,threshold", ("soft", "threshold")),
        ("trainer.devices", "[0, 1],[2]", ([0, 1], [2])),
        ("env.kwargs", "{N: 3},{N: 5, x: [1, 2]}", ({"N": 3}, {"N": 5, "x": [1, 2]})),
        ("env.kwargs.N", "3,5", (3, 5)),
    ],
)
def test_a_list_has_values_of_the_keys_type(key, text, values):
    found = axis_of(key, text, LEAVES)
    assert isinstance(found, Values)
    assert found.values == values
    assert [type(value) for value in found.values] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("algorithm.tau", "0.1..5", Range("algorithm.tau", 0.1, 5.0, log=False)),
        ("algorithm.lr", "1e-4..1e-2:log", Range("algorithm.lr", 1e-4, 1e-2, log=True)),
        ("algorithm.epochs", "1..10", Range("algorithm.epochs", 1, 10, log=False)),
        ("algorithm.value_clip", ".1...5", Range("algorithm.value_clip", 0.1, 0.5, log=False)),
    ],
)
def test_a_range_has_two_ends_and_a_scale(key, text, expected):
    found = axis_of(key, text, LEAVES)
    assert found == expected
    assert found.is_whole is (key == "algorithm.epochs")


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        ("algorithm.taw", "1,2", ("algorithm.taw", "did you mean 'algorithm.tau'")),
        ("algorithm.tau", "0.5,-1", ("algorithm.tau=-1", "positive")),
        ("algorithm.tau", "0.5,fast", ("algorithm.tau=fast", "a number")),
        ("algorithm.tau", "0.5,", ("algorithm.tau=0.5,", "empty value")),
        ("algorithm.tau", "", ("must be a number",)),
        ("algorithm.tau", "1,1.0", ("has 1.0 twice",)),
        ("algorithm.tau", "2..1", ("empty range", "below the second")),
        ("algorithm.tau", "1..1", ("empty range",)),
        ("algorithm.tau", "0..1", ("algorithm.tau=0", "positive")),
        ("algorithm.tau", "1..", ("no range", "LOW..HIGH")),
        ("algorithm.tau", "1..2:lin", ("no range", ":log")),
        ("algorithm.tau", "1..2,5", ("no range", "without others")),
        ("algorithm.tau", "a..b", ("algorithm.tau=a", "a number")),
        ("algorithm.value_clip", "null..1", ("empty range",)),
        ("algorithm.entropy", "0..1:log", ("must begin above 0",)),
        ("algorithm.epochs", "1..2.5", ("algorithm.epochs=2.5", "whole number")),
        ("algorithm.gamma", "0..1.5", ("algorithm.gamma=1.5", "[0, 1]")),
        ("algorithm.discretise", "0..1", ("only keys that take a plain number",)),
        ("env.kwargs.N", "0.1..5", ("only keys that take a plain number",)),
        ("trainer.devices", "[0,1", ("cannot be read",)),
        ("env.kwargs.N", "${x},2", ("${x}", "not allowed")),
    ],
)
def test_a_wrong_list_or_range_is_one_sentence(key, text, words, refused):
    with refused(*words):
        axis_of(key, text, LEAVES)


def test_keys_with_one_value_are_fixed():
    given = {"algorithm.tau": "1", "algorithm.lr": "1e-3,1e-2", "algorithm.gamma": "0.9..1"}
    fixed, varied = fixed_and_varied(given, LEAVES)
    assert fixed == {"algorithm.tau": 1.0}
    assert list(map(str, varied)) == ["algorithm.gamma=0.9..1.0", "algorithm.lr=0.001,0.01"]


def test_names_are_short_unless_two_keys_share_them():
    keys = ["algorithm.tau", "env.kwargs.n", "env.n"]
    assert short_names(keys) == {
        "algorithm.tau": "tau",
        "env.kwargs.n": "env.kwargs.n",
        "env.n": "env.n",
    }
