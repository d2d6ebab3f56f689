"""Environments with MultiDiscrete and MultiBinary actions: sizes, padding, masks, refusals."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

import zoo
from choices_helpers import COUNTS, Dials
from ilvf.envs import Gymnasium, PettingZoo, as_pettingzoo, check_env
from ilvf.modules import MultiChoices, actions_of

SPACES = {
    "ann": spaces.MultiDiscrete([3, 2], start=[1, 5]),
    "bob": spaces.MultiBinary((3, 1)),
    "cat": spaces.Discrete(4, start=2),
}
PADDED = [[3, 2, 1], [2, 2, 2], [4, 1, 1]]


class Several(zoo.Line):
    """Line whose agents move by the sum of their choices."""

    masks = None  # agent → its action mask, in the info

    def action_space(self, agent):
        return SPACES[agent]

    def step(self, actions):
        assert all(SPACES[a].contains(x) for a, x in actions.items()), actions
        whole = {agent: self.sizes[agent] - 1 for agent in actions}
        result = super().step(whole)
        for agent, action in actions.items():
            self.place[agent] += np.sum(action) - whole[agent]
            result[1][agent] = self.place[agent]
        return result

    def observe(self, agents):
        observations, infos = super().observe(agents)
        for agent in agents if self.masks else ():
            infos[agent]["action_mask"] = self.masks[agent]
        return observations, infos


def masked(**masks):
    class Masked(Several):
        pass

    ones = {"ann": np.ones(5), "bob": np.ones(6), "cat": np.ones(4)}
    Masked.masks = {**ones, **masks}
    return PettingZoo(Masked, num_envs=2, seed=0)


def rollout(env, steps=4):
    torch.manual_seed(0)
    return env.rollout(steps, break_when_any_done=False)


def test_agents_are_padded_with_components_of_one_choice():
    env = PettingZoo(Several, num_envs=2, seed=0)
    choices = actions_of(env)
    assert isinstance(choices, MultiChoices)
    assert choices.arguments == {"counts": PADDED}
    assert env.n_actions == 4 + 2 + 2
    assert "3 agents, actions of 3 choices" in str(check_env(env))


def test_choices_reach_their_agent_in_its_own_counting():
    """Ann's start at 1 and 5, and Cat's at 2."""
    td = rollout(PettingZoo(Several, num_envs=2, seed=0))
    places = td["next", "agents", "reward"].squeeze(-1)
    moved = places[:, 1:] - places[:, :-1]
    own = td["agents", "action"][:, 1:].sum(-1) + torch.tensor([6, 0, 2])
    assert torch.allclose(moved, own.float(), atol=1e-4)


@pytest.mark.parametrize(
    "ann", [np.array([1, 0, 1, 0, 1]), (np.array([1, 0, 1]), [0, 1])], ids=["flat", "tuple"]
)
def test_a_mask_has_the_flags_of_all_components(ann):
    env = masked(ann=ann)
    found = env.reset()["agents", "action_mask"]
    expected = [
        [[1, 0, 1, 0], [0, 1], [1, 0]],
        [[1, 1, 0, 0], [1, 1], [1, 1]],
        [[1, 1, 1, 1], [1, 0], [1, 0]],
    ]
    for agent, parts in enumerate(expected):
        assert found[0, agent].int().tolist() == [flag for part in parts for flag in part]


@pytest.mark.parametrize(
    ("ann", "words"),
    [
        (np.ones(4), "the action_mask of ann has the shape (4,), need (5,)"),
        ((np.ones(3), np.ones(3)), "the action_mask[1] of ann has the shape (3,), need (2,)"),
        (np.array([1, 1, 1, 0, 0]), "the action mask of ann in copy 0 allows nothing"),
        (np.array([2, 1, 1, 0, 1]), "other entries than 0 and 1"),
    ],
)
def test_wrong_masks_are_refused(ann, words, refused):
    with refused(words):
        masked(ann=ann).reset()


@pytest.mark.parametrize("wrong", [2, -1])
def test_choices_that_do_not_exist_are_refused(wrong, refused):
    env = PettingZoo(Several, num_envs=2, seed=0)
    action = torch.zeros(2, 3, 3, dtype=torch.int64)
    action[1, 0, 1] = wrong
    with refused(f"choice 1 of the action {wrong} of ann, which has 2"):
        env.step(env.reset().set(("agents", "action"), action))
    with refused("need whole numbers (2, 3, 3)"):
        env.step(env.reset().set(("agents", "action"), action[..., 0]))


def test_a_team_of_gymnasium_has_several_choices():
    env = Gymnasium("team_gym:Steps-v0", {"counts": [3, 2]}, num_envs=2, seed=0)
    td = rollout(env)
    assert actions_of(env).arguments == {"counts": [[3, 2], [3, 2]]}
    paid = td["next", "agents", "reward"].squeeze(-1)
    assert torch.equal(paid, td["agents", "action"].sum(-1).float())


def test_an_environment_of_this_library_goes_out_and_comes_back():
    """With its masks, whose padding is left out on the way."""
    made = as_pettingzoo(Dials(num_envs=1, barred=True, seed=0))
    assert made.action_space("agent_1") == spaces.MultiDiscrete([4, 1])
    env = PettingZoo(lambda: made, num_envs=1, seed=0)
    assert actions_of(env).arguments == {"counts": COUNTS}
    td = rollout(env)
    existing = actions_of(env).existing
    assert (td["agents", "action_mask"] <= existing).all()
    assert (td["agents", "action_mask"].sum(-1) == existing.sum(-1) - torch.tensor([2, 1])).all()
