"""Environments with continuous actions: sizes, bounds, padding, and what is refused."""

import functools

import numpy as np
import pytest
import torch

from ilvf.envs import PettingZoo, make_env
from ilvf.modules import Box, actions_of
from pettingzoo_helpers import line_env


def rollout(env, steps=4):
    """Random actions within the bounds."""
    torch.manual_seed(0)
    return env.rollout(steps, break_when_any_done=False)


def test_boxes_are_padded_with_fixed_numbers():
    box = actions_of(line_env(boxes=True))
    assert isinstance(box, Box)
    assert box.low.tolist() == [[0, 0, 0]] * 3
    assert box.high.tolist() == [[1, 0, 0], [2, 2, 0], [3, 3, 3]]


def test_actions_reach_their_agent_in_its_own_shape():
    """`zoo.Line` asserts that its space contains them, and moves an agent by their sum."""
    env = line_env(boxes=True)
    td = rollout(env)
    assert ("agents", "action_mask") not in td.keys(True)
    places = td["next", "agents", "reward"].squeeze(-1)
    moved = places[:, 1:] - places[:, :-1]
    assert torch.allclose(moved, td["agents", "action"][:, 1:].sum(-1), atol=1e-5)


def test_the_bounds_themselves_are_possible():
    """0.1 is smaller in double precision than in single precision."""

    def make():
        from gymnasium import spaces

        from zoo import Line

        class Tenth(Line):
            def action_space(self, agent):
                return spaces.Box(-0.1, 0.1, (self.sizes[agent],), np.float64)

            def step(self, actions):
                assert all(self.action_space(a).contains(x) for a, x in actions.items())
                whole = {agent: self.sizes[agent] - 1 for agent in actions}
                return super().step(whole)

        return Tenth()

    env = PettingZoo(make, num_envs=1, seed=0)
    high = actions_of(env).high
    env.step(env.reset().set(("agents", "action"), high.unsqueeze(0)))


@pytest.mark.parametrize("wrong", [1.5, float("nan")])
def test_actions_beyond_the_bounds_are_refused(wrong, refused):
    env = line_env(boxes=True)
    td = env.reset()
    action = torch.zeros(2, 3, 3)
    action[1, 0, 0] = wrong
    with refused("number 0 of the action of ann in copy 1 is", "need 0 to 1"):
        env.step(td.set(("agents", "action"), action))


def test_actions_of_another_shape_are_refused(refused):
    env = line_env(boxes=True)
    td = env.reset()
    for wrong in (torch.zeros(2, 3), torch.zeros(2, 3, 3, dtype=torch.int64)):
        with refused("need numbers (B, 3, 3)"):
            env.step(td.set(("agents", "action"), wrong))


@pytest.mark.slow
def test_workers_get_the_same_actions():
    here = line_env(boxes=True)
    there = line_env(boxes=True, workers=2)
    expected, found = rollout(here), rollout(there)
    there.close()
    assert torch.equal(found["next", "agents", "reward"], expected["next", "agents", "reward"])


def test_a_task_of_mpe2_has_continuous_actions():
    make = functools.partial(make_env, "pettingzoo/mpe2.simple_spread_v3", num_envs=2, seed=0)
    env = make(kwargs={"continuous_actions": True, "max_cycles": 5})
    td = rollout(env)
    assert env.n_actions == 5
    assert td["agents", "action"].shape == (2, 4, 3, 5)
    assert td["next", "done"][:, -1].logical_not().all()
