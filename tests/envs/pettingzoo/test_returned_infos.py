"""Action masks, states and statistics of an environment.

`zoo.Line` is changed in its second step, or from its first reset on. Bob has three actions.
"""

import numpy as np
import pytest
from gymnasium import spaces

import zoo
from ilvf.envs import PettingZoo
from pettingzoo_helpers import FIRST_RESET, STEP_2, changed_line, play_random, refuse


# ---------------------------------------------------------------------- action masks and states
def with_mask(mask):
    def change(env, observations, *rest):
        rest[-1]["bob"]["action_mask"] = mask

    return change


@pytest.mark.parametrize(
    "mask",
    [[1, 0, 1], (True, False, True), np.array([1.0, 0.0, 1.0]), np.array([1, 0, 1], bool)],
    ids=["list", "tuple", "float", "bool"],
)
def test_action_masks_of_zeros_and_ones(mask):
    env = changed_line(of_step=with_mask(mask), mask_in="info")
    td = play_random(env, 2)
    assert td["next", "agents", "action_mask"][0, 1, 1].int().tolist() == [1, 0, 1, 0]


WRONG_MASKS = {
    "too long": ([1, 1, 1, 1], "has the shape (4,), need (3,)"),
    "too short": ([1, 1], "has the shape (2,), need (3,)"),
    "one entry": ([1], "has the shape (1,), need (3,)"),
    "a single number": (1, "has the shape (), need (3,)"),
    "two axes": (np.ones((1, 3)), "has the shape (1, 3), need (3,)"),
    "logits": (np.array([0.0, -np.inf, 0.0]), "has other entries than 0 and 1"),
    "probabilities": ([0.5, 0.5, 0.0], "has other entries than 0 and 1"),
    "indices": ([0, 1, 2], "has other entries than 0 and 1"),
    "NaN": ([np.nan, 1.0, 1.0], "has other entries than 0 and 1"),
    "words": (["yes", "no", "yes"], "is a list of 3 entries"),
    "None": (None, "is None"),
}


@pytest.mark.parametrize(("mask", "words"), WRONG_MASKS.values(), ids=WRONG_MASKS)
def test_another_action_mask_is_refused(mask, words, refused):
    words = [STEP_2, f"the action_mask of bob {words}"]
    refuse(refused, words, of_step=with_mask(mask), mask_in="info")


def test_a_mask_without_a_possible_action_is_refused(refused):
    words = ["action mask of bob in copy 0 allows nothing after 2 steps"]
    refuse(refused, words, of_step=with_mask([False] * 3), mask_in="info")


def test_a_mask_that_is_missing_is_refused(refused):
    def forget(env, observations, rewards, terminations, truncations, infos):
        del infos["bob"]["action_mask"]

    words = [STEP_2, "there is no 'action_mask' in the info of bob"]
    refuse(refused, words, of_step=forget, mask_in="info")

    def unmask(env, observations, *rest):
        del observations["bob"]["action_mask"]

    words = [STEP_2, "there is no 'action_mask' in the observation of bob"]
    refuse(refused, words, of_step=unmask, mask_in="observation")

    def replace(env, observations, *rest):
        observations["bob"] = np.zeros(2)

    words = [STEP_2, "in the observation of bob, which is an array of shape (2,)"]
    refuse(refused, words, of_step=replace, mask_in="observation")


@pytest.mark.parametrize("key", ["state", "action_mask"])
def test_an_info_that_comes_later_than_the_first_reset_is_refused(key, refused):
    def change(env, observations, rewards, terminations, truncations, infos):
        infos["bob"][key] = [1, 1, 1]

    refuse(refused, [STEP_2, f"the info of bob has '{key}'", "first reset"], of_step=change)


class TestObservationsBesideAMask:
    """Parts of an observation that has an action mask are all kept."""

    def test_a_goal_beside_observation_and_mask_is_kept(self):
        td = play_random(goal_line(["observation", "goal"]), 1)
        first = td["agents", "observation"][0, 0, 1].tolist()
        assert first[:2] == [7.0, 8.0]  # "goal" is before "observation"
        assert td["agents", "action_mask"][0, 0, 1].int().tolist() == [0, 1, 1, 0]

    def test_a_mask_without_the_key_observation_is_a_mask(self):
        td = play_random(goal_line(["goal"]), 1)
        assert td["agents", "observation"][0, 0].tolist() == [[7.0, 8.0]] * 3
        assert td["agents", "action_mask"][0, 0, 1].int().tolist() == [0, 1, 1, 0]

    def test_a_mask_alone_is_refused(self, refused):
        with refused("ann observes its action_mask and nothing else"):
            goal_line([])

    def test_a_part_that_the_space_does_not_have_is_refused(self, refused):
        def add(env, observations, *rest):
            observations["bob"]["goal"] = 1.0

        words = ["the observation of bob is a dict with the keys action_mask, goal, observation"]
        refuse(refused, words, of_step=add, mask_in="observation")


def goal_line(parts):
    """A line whose observations have these parts and a mask, which forbids the first action."""

    class GoalLine(zoo.Line):
        def observation_space(self, agent):
            size = self.sizes[agent]
            declared = {
                "observation": spaces.Box(-np.inf, np.inf, (size,)),
                "goal": spaces.Box(-np.inf, np.inf, (2,)),
            }
            kept = {part: declared[part] for part in parts}
            return spaces.Dict({**kept, "action_mask": spaces.MultiBinary(size + 1)})

        def observe(self, agents):
            observations, infos = super().observe(agents)
            for name, seen in observations.items():
                mask = [0] + [1] * self.sizes[name]
                found = {"observation": seen, "goal": [7.0, 8.0]}
                kept = {part: found[part] for part in parts}
                observations[name] = {**kept, "action_mask": mask}
            return observations, infos

    return PettingZoo(GoalLine, seed=0)


STATES = {
    "None": (None, "is None"),
    "a dict": ({"x": 1.0, "y": 2.0}, "is a dict with the keys x, y"),
    "too long": ([1.0, 2.0, 3.0], "has the shape (3,), need (2,)"),
    "one number": ([1.0], "has the shape (1,), need (2,)"),
    "a column": (np.zeros((2, 1)), "has the shape (2, 1), need (2,)"),
    "an object array": (np.array([1, 2], object), "is an array of shape (2,) and dtype object"),
}


@pytest.mark.parametrize(("state", "words"), STATES.values(), ids=STATES)
def test_another_state_is_refused(state, words, refused):
    def change(env, observations, *rest):
        rest[-1]["bob"]["state"] = state

    refuse(refused, [STEP_2, f"the state of bob {words}"], of_step=change, with_state=True)


@pytest.mark.parametrize("state", [None, {"x": 1.0}, "here"])
def test_a_state_that_is_no_array_is_refused_at_once(state, refused):
    def change(env, observations, infos):
        infos["bob"]["state"] = state

    refuse(refused, [FIRST_RESET, "the state of bob is"], of_reset=change, with_state=True)


def test_states_of_some_agents_only_are_refused(refused):
    def change(env, observations, infos):
        del infos["bob"]["state"]

    refuse(refused, [FIRST_RESET, "none for bob"], of_reset=change, with_state=True)

    def later(env, observations, *rest):
        del rest[-1]["bob"]["state"]

    refuse(refused, [STEP_2, "no 'state' in the info of bob"], of_step=later, with_state=True)


class TestGlobalState:
    def line(self, space, state):
        def change(env, *rest):
            env.state_space = space
            env.state = lambda: state

        return changed_line(of_reset=change, global_state=True)

    def test_a_state_space_with_parts_is_flattened(self):
        space = spaces.Dict({"x": spaces.Box(0, 9, (2, 2)), "y": spaces.Discrete(2)})
        env = self.line(space, {"x": [[1, 2], [3, 4]], "y": 1})
        assert env.reset()["global_state"].tolist() == [[1, 2, 3, 4, 0, 1]]

    WRONG = {  # noqa: RUF012
        "one number": ([1.0], "the state() of the environment has the shape (1,), need (3,)"),
        "too long": (np.zeros(4), "the state() of the environment has the shape (4,)"),
        "None": (None, "the state() of the environment is None"),
        "a dict": ({"x": 1}, "the state() of the environment is a dict"),
        "NaN": ([np.nan, 0, 0], "the global_state in copy 0 is NaN or infinite"),
    }

    @pytest.mark.parametrize(("state", "words"), WRONG.values(), ids=WRONG)
    def test_another_state_is_refused(self, state, words, refused):
        env = self.line(spaces.Box(0, 1, (3,)), state)
        with refused(words):
            env.reset()

    @pytest.mark.parametrize("space", [None, 3, (3,), {"x": 1}])
    def test_no_space_is_refused(self, space, refused):
        with refused("global_state=true needs a state_space of gymnasium, found"):
            self.line(space, None)

    def test_a_space_without_a_size_is_refused(self, refused):
        with refused("state_space=Sequence", "does not flatten"):
            self.line(spaces.Sequence(spaces.Discrete(2)), None)


class TestStatistics:
    """`episode_statistics()`, an optional method."""

    def line(self, first, later):
        answers = iter([first, *[later] * 9])

        def change(env, *rest):
            env.episode_statistics = lambda: next(answers)

        return changed_line(of_reset=change)

    def test_statistics_are_read_by_name(self):
        td = self.line({"a": 1, "b": [2.5]}, {"b": 3.0, "a": np.int8(4)}).reset()
        assert td["episode", "a"].item() == 4
        assert td["episode", "b"].item() == 3

    WRONG = {  # noqa: RUF012
        "another name": ({"a": 1}, {"b": 1}, "episode_statistics() has b, and had a before"),
        "one name less": ({"a": 1, "b": 1}, {"a": 1}, "has a, and had a, b before"),
        "None later": ({"a": 1}, {"a": None}, "the statistic of a is None"),
        "None": (None, None, "episode_statistics() returned None"),
        "a word": ({"a": "b"}, {}, "the statistic of a is 'b'"),
        "a taken name": ({"length": 1}, {}, "episode_statistics() has length"),
    }

    @pytest.mark.parametrize(("first", "later", "words"), WRONG.values(), ids=WRONG)
    def test_other_statistics_are_refused(self, first, later, words, refused):
        with refused(words):
            self.line(first, later).reset()
