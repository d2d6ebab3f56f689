"""What `reset` and `step` return, the flags of ends, and who is in an episode.

`zoo.Line` is changed in its second step, or from its first reset on.
"""

import numpy as np
import pytest

from pettingzoo_helpers import (
    FIRST_RESET,
    RESET,
    RETURN_NONE,
    STEP_2,
    changed_line,
    play_random,
    refuse,
)


# ---------------------------------------------------------------------- ends
@pytest.mark.parametrize("true", [True, np.True_, 1, np.array(True), np.array([1]), 1.0])
@pytest.mark.parametrize("which", [2, 3], ids=["termination", "truncation"])
def test_flags_are_truth_values(true, which):
    def change(env, *result):
        result[which].update(dict.fromkeys(env.agents, true))
        env.agents = []

    td = play_random(changed_line(of_step=change), 2)
    assert td["next", "done"].flatten().tolist() == [False, True]
    assert td["next", "terminated"].flatten().tolist() == [False, which == 2]


WRONG_FLAGS = {
    "None": (None, "is None"),
    "a word": ("False", "is 'False'"),
    "two": (2, "is 2"),
    "NaN": (float("nan"), "is nan"),
    "an array": (np.array([True, False]), "is an array of shape (2,)"),
    "a list": ([], "is a list of 0 entries"),
}


@pytest.mark.parametrize(("value", "words"), WRONG_FLAGS.values(), ids=WRONG_FLAGS)
@pytest.mark.parametrize("which", [2, 3], ids=["termination", "truncation"])
def test_other_flags_are_refused(value, words, which, refused):
    kind = {2: "termination", 3: "truncation"}[which]

    def change(env, *result):
        result[which]["bob"] = value

    refuse(refused, [STEP_2, f"the {kind} of bob {words}"], of_step=change)


@pytest.mark.parametrize("which", [0, 1, 2, 3])
def test_an_entry_that_is_missing_is_refused(which, refused):
    kind = ("observation", "reward", "termination", "truncation")[which]

    def change(env, *result):
        del result[which]["bob"]

    refuse(refused, [STEP_2, f"there is no {kind} of bob"], of_step=change)


@pytest.mark.parametrize("which", [0, 1, 2, 3])
@pytest.mark.parametrize("name", ["dan", "__all__", 0])
def test_an_entry_of_no_agent_is_refused(which, name, refused):
    kind = ("observations", "rewards", "terminations", "truncations")[which]

    def change(env, *result):
        result[which][name] = result[which]["bob"]

    refuse(refused, [STEP_2, f"there are {kind} for {name}"], of_step=change)


class TestEntriesOfTheDead:
    """Bob ends in step 1; the environment returns something for him in step 2."""

    def play(self, change):
        dead = dict(terminated_at={"bob": 1}, dying=True)
        return play_random(changed_line(of_step=change, **dead), 2)

    def test_all_but_a_reward_is_ignored(self):
        def change(env, observations, rewards, terminations, truncations, infos):
            observations["bob"] = [5.0, 5.0]
            rewards["bob"] = 0.0
            terminations["bob"] = True
            truncations["bob"] = False
            infos["bob"] = {}

        after = self.play(change)["next", "agents"][0, 1]
        assert not after["observation"][1].any()
        assert not after["reward"][1].any()
        assert after["mask"].tolist() == [True, False, True]

    def test_a_reward_is_refused(self, refused):
        def change(env, observations, rewards, *rest):
            rewards["bob"] = -1.0

        with refused(STEP_2, "the reward of bob is -1.0, but bob ended in an earlier step"):
            self.play(change)


# ---------------------------------------------------------------------- results
RESULTS = {
    "None": (lambda result: RETURN_NONE, "None"),
    "a number": (lambda result: 3, "3"),
    "a dict": (lambda result: result[0], "a dict with the keys ann, bob, cat"),
    "one entry less": (lambda result: result[:-1], "a tuple of {less} entries"),
    "one entry more": (lambda result: (*result, {}), "a tuple of {more} entries"),
    "a generator": (lambda result: (part for part in result), "an object of type generator"),
}


@pytest.mark.parametrize("kind", RESULTS)
def test_another_result_of_reset_or_step_is_refused(kind, refused):
    replace, words = RESULTS[kind]

    def change(env, *result):
        return replace(result)

    found = f"reset returned {words.format(less=1, more=3)}, need a tuple of 2: (observations"
    refuse(refused, [FIRST_RESET, found], of_reset=change)
    found = f"step returned {words.format(less=4, more=6)}, need a tuple of 5: (observations, rew"
    refuse(refused, [STEP_2, found], of_step=change)


def test_a_result_may_be_a_list():
    def change(env, *result):
        return list(result)

    td = play_random(changed_line(of_reset=change, of_step=change), 2)
    assert (td == play_random(changed_line(), 2)).all()


@pytest.mark.parametrize("which", range(5))
@pytest.mark.parametrize(
    "value", [[], 3, "bob", np.zeros(3)], ids=["list", "number", "word", "array"]
)
def test_a_part_of_a_step_that_is_no_dict_is_refused(which, value, refused):
    names = ("observations", "rewards", "terminations", "truncations", "infos")

    def change(env, *result):
        return tuple(value if k == which else part for k, part in enumerate(result))

    refuse(refused, [STEP_2, f"{names[which]} of step are", "need a dict"], of_step=change)


class TestInfos:
    """Infos are read only where an agent has a state or an action mask there."""

    @pytest.mark.parametrize("infos", [None, {}, {"bob": None}, {"bob": {}}, {"all": {"x": 1}}])
    def test_infos_that_nobody_reads_may_be_missing(self, infos):
        def of_reset(env, observations, _):
            return observations, infos

        def of_step(env, *result):
            return (*result[:-1], infos)

        td = play_random(changed_line(of_reset=of_reset, of_step=of_step), 2)
        expected = play_random(changed_line(), 2)
        assert (td == expected).all()

    @pytest.mark.parametrize("infos", [None, {}, {"bob": None}])
    def test_infos_with_a_state_must_not_be_missing(self, infos, refused):
        def of_step(env, *result):
            return (*result[:-1], infos)

        words = [STEP_2, "there is no 'state' in the info of ann"]
        refuse(refused, words, of_step=of_step, with_state=True)

    @pytest.mark.parametrize("info", ["text", 3, [1], np.zeros(2)])
    def test_an_info_that_is_no_dict_is_refused(self, info, refused):
        def of_step(env, *result):
            result[-1]["bob"] = info

        refuse(refused, [STEP_2, "the info of bob is", "need a dict"], of_step=of_step)


# ---------------------------------------------------------------------- agents
class TestAgents:
    CHANGES = {  # noqa: RUF012
        "a new one": (["ann", "bob", "cat", "dan"], "agents has dan now, not there before"),
        "one less": (["ann", "cat"], "agents lost bob"),
        "nobody": ([], "agents lost ann, bob, cat"),
        "one twice": (["ann", "bob", "cat", "bob"], "agents has bob twice"),
        "None": (None, "agents is None, need a list of names"),
        "a word": ("ann", "agents is 'ann', need a list of names"),
        "a name that is a list": ([["ann"], "bob", "cat"], "agents has a list of 1 entries"),
    }

    @pytest.mark.parametrize(("agents", "words"), CHANGES.values(), ids=CHANGES)
    def test_other_agents_after_a_step_are_refused(self, agents, words, refused):
        def change(env, *result):
            env.agents = agents

        refuse(refused, [STEP_2, words], of_step=change)

    @pytest.mark.parametrize("agents", [[], ["ann"], ["ann", "bob", "dan"], None])
    def test_other_agents_after_a_reset_are_refused(self, agents, refused):
        def change(env, *result):
            env.agents = agents

        refuse(refused, [RESET, "agents is"], of_reset=change)

    def test_agents_in_another_order_are_the_same_agents(self):
        def change(env, *result):
            env.agents = ["cat", "ann", "bob"]

        td = play_random(changed_line(of_step=change, of_reset=change), 3)
        assert td["next", "agents", "reward"].all()

    def test_an_agent_that_died_must_leave(self, refused):
        def change(env, *result):
            env.agents = ["ann", "bob", "cat"]

        dead = dict(terminated_at={"bob": 2}, dying=True)
        words = [STEP_2, "agents still has bob, which this step ended"]
        refuse(refused, words, of_step=change, **dead)

    def test_an_agent_that_comes_back_is_refused(self, refused):
        def change(env, *result):
            env.agents = ["ann", "bob", "cat"]

        dead = dict(terminated_at={"bob": 1}, dying=True)
        refuse(refused, [STEP_2, "agents has bob now"], of_step=change, **dead)

    def test_agents_may_stay_in_the_list_when_all_have_ended(self):
        def change(env, *result):
            env.agents = ["ann", "bob", "cat"]

        td = play_random(changed_line(of_step=change, limit=2), 3)
        assert td["next", "done"].flatten().tolist() == [False, True, False]

    def test_possible_agents_that_change_are_refused(self, refused):
        """Between the resets of two episodes."""

        def change(env, *result):
            if env.resets == 2:
                env.possible_agents = ["ann", "bob"]
                env.agents = ["ann", "bob"]

        env = changed_line(of_reset=change, limit=1)
        with refused("in the reset after step 1: possible_agents is now ann, bob, and was ann,"):
            play_random(env, 2)

    POSSIBLE = {  # noqa: RUF012
        "None": (None, "possible_agents is None"),
        "empty": ([], "possible_agents is a list of 0 entries"),
        "a word": ("ann", "possible_agents is 'ann'"),
        "one twice": (["ann", "bob", "ann"], "possible_agents has ann twice"),
        "a list in it": ([["ann"]], "possible_agents has a list of 1 entries"),
        "missing": ("missing", "possible_agents is None"),
    }

    @pytest.mark.parametrize(("possible", "words"), POSSIBLE.values(), ids=POSSIBLE)
    def test_other_possible_agents_are_refused(self, possible, words, refused):
        def change(env, *result):
            env.possible_agents = possible
            if possible == "missing":
                del env.possible_agents

        with refused(FIRST_RESET, words):
            changed_line(of_reset=change)
