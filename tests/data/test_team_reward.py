"""A reward that all agents share is noticed, and nothing else is taken for one."""

import functools

import pytest
import torch
from tensordict import TensorDict

from helpers import fit
from ilvf import MAPPO, CategoricalActor, StateCritic, make_env
from ilvf.data.team_reward import NOTE, has_one_reward


def rollout_of(reward):
    """A rollout with the rewards `[B, T, N]`."""
    reward = torch.as_tensor(reward).float().unsqueeze(-1)
    return TensorDict({"next": {"agents": {"reward": reward}}}, reward.shape[:2])


@pytest.mark.parametrize(
    ("reward", "one"),
    [
        ([[[1, 1], [2, 2]]], True),
        ([[[1, 1]], [[2, 2]]], True),
        ([[[1, 1], [2, 3]]], False),
        ([[[1, 1], [1, 1]]], False),  # constant so far, such as a price per step
        ([[[0, 0], [0, 0]]], False),
        ([[[1], [2]]], False),  # one agent
    ],
)
def test_one_reward(reward, one):
    assert has_one_reward(rollout_of(reward)) == one


@pytest.mark.parametrize(
    ("shared", "reward", "times"),
    [(True, "own", 1), (False, "own", 0), (True, "split", 0)],
)
def test_a_run_says_it_once(shared, reward, times, capsys):
    """Without collisions, which are the own ones, `navigation` can pay the team as one."""
    kwargs = {"shared_rew": shared, "collisions": False}
    make = functools.partial(make_env, "vmas", kwargs=kwargs, horizon=5)
    env = make(num_envs=1)
    actor = CategoricalActor(env.n_agents, env.observation_dim, env.n_actions, hidden=8)
    critic = StateCritic(env.n_agents, env.state_dim, hidden=8)
    sizes = dict(
        num_envs=4, rollout_steps=4, epochs=1, minibatches=1, eval_every=9, eval_episodes=1
    )
    fit(MAPPO(make, actor, critic, reward=reward, **sizes), 2)
    assert capsys.readouterr().err.count(NOTE) == times
