"""Rewards and observations of an environment: any dtype is accepted, other shapes are refused.

`zoo.Line` is changed in its second step, or from its first reset on. Bob observes two numbers.
"""

from decimal import Decimal

import numpy as np
import pytest
import torch
from gymnasium import spaces

from pettingzoo_helpers import RESET, changed_line, play_random, refuse

# ---------------------------------------------------------------------- rewards
NUMBERS = {
    "float": 1.5,
    "int": 2,
    "bool": True,
    "float32": np.float32(1.5),
    "float64": np.float64(1.5),
    "int8": np.int8(2),
    "numpy bool": np.True_,
    "0-d array": np.array(1.5),
    "shape (1,)": np.array([1.5]),
    "shape (1, 1)": np.array([[1.5]]),
    "list": [1.5],
    "nested list": [[1.5]],
    "tensor": torch.tensor(1.5),
    "tensor of shape (1,)": torch.tensor([1.5]),
}


@pytest.mark.parametrize("reward", NUMBERS.values(), ids=NUMBERS)
def test_a_reward_is_one_number(reward):
    def change(env, observations, rewards, *rest):
        rewards["bob"] = reward

    td = play_random(changed_line(of_step=change), 2)
    assert td["next", "agents", "reward"][0, 1, 1, 0].item() == float(np.ravel(reward)[0])


NO_NUMBERS = {
    "None": (None, "the reward of bob is None"),
    "a word": ("1.5", "the reward of bob is '1.5'"),
    "bytes": (b"1", "the reward of bob is b'1'"),
    "complex": (1j, "the reward of bob is 1j"),
    "two numbers": (np.zeros(2), "the reward of bob has the shape (2,), need one number"),
    "no number": (np.zeros(0), "the reward of bob has the shape (0,)"),
    "an empty list": ([], "the reward of bob has the shape (0,)"),
    "a dict": ({"bob": 1.0}, "the reward of bob is a dict with the keys bob"),
    "an object array": (np.array([1.5], object), "shape (1,) and dtype object"),
    "a ragged list": ([[1.0], [1.0, 2.0]], "the reward of bob is a list of 2 entries"),
    "a decimal": (Decimal("1.5"), "an object of type Decimal"),
    "a huge integer": (10**400, "the reward of bob is 1000"),
    "a date": (np.datetime64("2020-01-01"), "the reward of bob is np.datetime64"),
    "NaN": (float("nan"), "the reward of bob in copy 0 is NaN or infinite after 2 steps"),
    "infinity": (np.float32("inf"), "the reward of bob in copy 0 is NaN or infinite"),
    "more than float32": (1e300, "the reward of bob in copy 0 is NaN or infinite"),
}


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize(("reward", "words"), NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_another_reward_is_refused(reward, words, refused):
    def change(env, observations, rewards, *rest):
        rewards["bob"] = reward

    refuse(refused, [words], of_step=change)


# ---------------------------------------------------------------------- observations
OBSERVATIONS = {
    "list": [2, 3],
    "tuple": (2.0, 3.0),
    "float64": np.array([2.0, 3.0]),
    "float16": np.array([2.0, 3.0], np.float16),
    "int8": np.array([2, 3], np.int8),
    "uint8": np.array([2, 3], np.uint8),
    "int64": np.array([2, 3]),
    "bool": np.array([True, False]),
    "numpy scalars": [np.float32(2), np.int8(3)],
    "not contiguous": np.array([2.0, 0.0, 3.0])[::2],
    "tensor": torch.tensor([2.0, 3.0]),
}


@pytest.mark.parametrize("observation", OBSERVATIONS.values(), ids=OBSERVATIONS)
def test_observations_of_any_dtype_keep_their_numbers(observation):
    def change(env, observations, *rest):
        observations["bob"] = observation

    td = play_random(changed_line(of_step=change), 2)
    seen = td["next", "agents", "observation"][0, 1, 1]
    assert seen.dtype == torch.float32
    assert seen.tolist() == [float(observation[0]), float(observation[1]), 0.0]


NO_OBSERVATIONS = {
    "None": (None, "is None"),
    "a word": ("ab", "is 'ab'"),
    "a number": (1.0, "has the shape (), need (2,)"),
    "too wide": (np.zeros(3), "has the shape (3,), need (2,)"),
    "too narrow": (np.zeros(1), "has the shape (1,), need (2,)"),
    "a column": (np.zeros((2, 1)), "has the shape (2, 1), need (2,)"),
    "a row": (np.zeros((1, 2)), "has the shape (1, 2), need (2,)"),
    "empty": ([], "has the shape (0,), need (2,)"),
    "an object array": (np.array([1.0, 2.0], object), "is an array of shape (2,) and dtype object"),
    "a list with None": ([1.0, None], "is a list of 2 entries"),
    "a ragged list": ([[1.0], [1.0, 2.0]], "is a list of 2 entries"),
    "complex": (np.zeros(2, complex), "is an array of shape (2,) and dtype complex128"),
    "a dict": ({"x": 1.0, "y": 2.0}, "is a dict with the keys x, y"),
    "a set": ({1.0, 2.0}, "is an object of type set"),
}


@pytest.mark.parametrize(("value", "words"), NO_OBSERVATIONS.values(), ids=NO_OBSERVATIONS)
def test_another_observation_is_refused(value, words, refused):
    def change(env, observations, *rest):
        observations["bob"] = value

    refuse(refused, [f"the observation of bob {words}"], of_step=change)
    refuse(refused, [RESET, f"the observation of bob {words}"], of_reset=change)


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 1e39])
def test_numbers_that_are_not_finite_are_refused(number, refused):
    def observe(env, observations, *rest):
        observations["bob"] = [0.0, number]

    def inform(env, observations, rewards, terminations, truncations, infos):
        infos["bob"]["state"] = [0.0, number]

    refuse(refused, ["the observation of bob in copy 0", "finite"], of_step=observe)
    refuse(refused, ["the state of bob in copy 0"], of_step=inform, with_state=True)


class TestSpaces:
    """Bob's observation space is changed; all agents share it."""

    NESTED = spaces.Dict(
        {
            "b": spaces.Box(-1, 1, (2, 2)),
            "a": spaces.Tuple([spaces.Discrete(3, start=1), spaces.MultiBinary(2)]),
            "c": spaces.MultiDiscrete([2, 3]),
        }
    )
    VALUE = {"a": (2, [0, 1]), "b": [[1, 2], [3, 4]], "c": [1, 0]}  # noqa: RUF012

    @staticmethod
    def play(space, value):
        def change(env, observations, *rest):
            observations.update(dict.fromkeys(observations, value))

        env = changed_line(of_reset=change, of_step=change, at=1, space=space)
        return play_random(env, 1)["next", "agents", "observation"][0, 0, 0].tolist()

    def test_a_nested_dict_is_flattened_in_the_order_of_its_space(self):
        expected = [0, 1, 0, 0, 1, 1, 2, 3, 4, 0, 1, 1, 0, 0]
        assert self.play(self.NESTED, self.VALUE) == expected

    def test_the_order_is_that_of_gymnasium(self):
        value = {
            "a": (2, np.array([0, 1], np.int8)),
            "b": np.array([[1, 2], [3, 4]], np.float32),
            "c": np.array([1, 0]),
        }
        assert self.play(self.NESTED, value) == spaces.flatten(self.NESTED, value).tolist()

    def test_numbers_are_not_cut_to_the_dtype_of_the_space(self):
        space = spaces.Dict({"pixel": spaces.Box(0, 255, (1,), np.uint8)})
        assert self.play(space, {"pixel": [0.5]}) == [0.5]

    @pytest.mark.parametrize("value", [2, np.int64(2), np.array(2), [2], 2.0])
    def test_discrete_values_are_one_hot(self, value):
        assert self.play(spaces.Discrete(3, start=1), value) == [0, 1, 0]

    @pytest.mark.parametrize("value", [0, 4, -1, 1.5, np.nan, np.inf])
    def test_another_category_is_refused(self, value, refused):
        with refused("the observation of ann is", "not in Discrete(3, start=1)"):
            self.play(spaces.Discrete(3, start=1), value)

    @pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
    def test_a_box_with_one_number_accepts_a_scalar(self, shape):
        assert self.play(spaces.Box(-1, 1, shape), 0.5) == [0.5]

    WRONG = {  # noqa: RUF012
        "no dict": (3, "the observation of ann is 3, need a dict with the keys a, b, c"),
        "a part is missing": ({"a": 1, "b": 2}, "need a dict with the keys a, b, c"),
        "a part too much": ({**VALUE, "d": 1}, "a dict with the keys a, b, c, d, need"),
        "a part of another shape": (
            {**VALUE, "b": np.zeros((4,))},
            "the observation['b'] of ann has the shape (4,), need (2, 2)",
        ),
        "a short tuple": ({**VALUE, "a": (1,)}, "the observation['a'] of ann is a tuple of 1"),
        "a number of a tuple": (
            {**VALUE, "a": (7, [0, 1])},
            "the observation['a'][0] of ann is 7, which is not in Discrete",
        ),
        "a third truth value": (
            {**VALUE, "a": (1, [0, 2])},
            "the observation['a'][1] of ann is an array of shape (2,)",
        ),
        "a category too large": ({**VALUE, "c": [1, 3]}, "the observation['c'] of ann"),
        "half a category": ({**VALUE, "c": [0.5, 0]}, "the observation['c'] of ann"),
    }

    @pytest.mark.parametrize(("value", "words"), WRONG.values(), ids=WRONG)
    def test_another_value_of_a_nested_space_is_refused(self, value, words, refused):
        with refused(words):
            self.play(self.NESTED, value)
