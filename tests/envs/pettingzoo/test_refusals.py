"""Environments and policies that break the rules end in one sentence."""

import pytest
import torch
from gymnasium import spaces
from tensordict import TensorDict

from ilvf.envs import PettingZoo
from pettingzoo_helpers import line_env, play_random

WRONG = {
    "NaN": (dict(fault="nan"), ["reward of bob in copy 0", "2 steps"]),
    "infinite": (dict(fault="infinite"), ["observation of bob in copy 0"]),
    "a new agent": (
        dict(fault="newcomer"),
        ["line (copy 0) in step 2: agents has dan now, not there before"],
    ),
    "an agent that leaves": (dict(fault="deserter"), ["in step 2: agents lost bob"]),
    "an agent missing at reset": (
        dict(fault="two"),
        ["agents is ann, bob after reset", "ann, bob, cat"],
    ),
    "an early end": (
        dict(terminated_at={"bob": 2}),
        ["in step 2: the episode ended for bob", "goes on for ann, cat", "dying=true"],
    ),
    "no observation": (dict(fault="unseen"), ["step 2: there is no observation of bob"]),
    "no reward": (dict(fault="unpaid"), ["step 2: there is no reward of bob"]),
    "a wide observation": (
        dict(fault="wide"),
        ["step 2: the observation of bob has the shape (7,), need (2,)"],
    ),
    "a long mask": (
        dict(fault="long mask", mask_in="info"),
        ["step 2: the action_mask of bob has the shape (5,), need (3,)"],
    ),
    "an empty mask": (
        dict(fault="nothing allowed", mask_in="info"),
        ["action mask of bob in copy 0", "allows nothing"],
    ),
    "unbounded actions": (dict(fault="unbounded"), ["ann has actions Box", "finite bounds"]),
    "masks of continuous actions": (dict(boxes=True, mask_in="info"), ["ann has an action_mask"]),
    "observations without a size": (
        dict(space=spaces.Sequence(spaces.Discrete(2))),
        ["ann observes Sequence", "flatten"],
    ),
    "no time limit": (dict(limit=None), ["how long an episode is", "horizon="]),
    "no time for workers": (dict(timeout=0), ["timeout=0"]),
    "no steps": (dict(horizon=0), ["horizon=0"]),
    "a negative number of workers": (dict(workers=-1), ["workers=-1"]),
    "unknown arguments": (dict(colour="red"), ["kwargs={'colour': 'red'}", "colour"]),
}


@pytest.mark.parametrize(("options", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_environment_or_option_is_refused(options, words, refused):
    with refused(*words):
        play_random(line_env(**options), 4)


def test_an_unknown_option_is_refused(refused):
    with refused("PettingZoo has no option 'worker'", "did you mean 'workers'"):
        PettingZoo("zoo", worker=2)


def test_a_policy_that_ignores_the_action_mask_is_refused(refused):
    env = line_env()
    td = env.reset().set(("agents", "action"), torch.full((2, 3), 3))
    with refused("action 3 of ann, which has 2", "action_mask"):
        env.step(td)


ACTIONS = {
    "negative": (torch.full((2, 3), -1), "action -1 of ann, which has 2"),
    "of one copy": (torch.zeros(1, 3, dtype=torch.long), "has the shape (1, 3)"),
    "of one agent": (torch.zeros(2, 1, dtype=torch.long), "has the shape (2, 1)"),
    "one-hot": (torch.zeros(2, 3, 4, dtype=torch.long), "has the shape (2, 3, 4)"),
    "floats": (torch.zeros(2, 3), "dtype float32, need whole numbers (2, 3)"),
    "bools": (torch.zeros(2, 3, dtype=torch.bool), "dtype bool, need whole numbers (2, 3)"),
}


@pytest.mark.parametrize(("action", "words"), ACTIONS.values(), ids=ACTIONS)
def test_actions_that_are_no_indices_are_refused(action, words, refused):
    env = line_env()
    env.reset()
    with refused(words):
        env._step(TensorDict({"agents": {"action": action}}))


@pytest.mark.parametrize("num_envs", [0, -1, 1.5, "2", None])
def test_a_number_of_copies_that_is_no_count_is_refused(num_envs, refused):
    with refused("num_envs=", "whole number, at least 1"):
        line_env(num_envs=num_envs)
