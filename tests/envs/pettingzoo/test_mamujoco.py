"""Multi-Agent MuJoCo: an environment of continuous actions and one reward for the team."""

import pytest
import torch

from ilvf.data.team_reward import has_one_reward
from ilvf.envs import check_env, make_env
from ilvf.experiment.config import environment_of


@pytest.fixture
def cheetahs(tmp_path, monkeypatch):
    """Two copies of what `env=mamujoco` makes; MuJoCo writes a log where it runs."""
    monkeypatch.chdir(tmp_path)
    name, options = environment_of("mamujoco")
    env = make_env(name, num_envs=2, seed=0, **{**options, "horizon": 5})
    yield env
    env.close()


def test_a_cheetah_of_two_agents(cheetahs):
    assert str(check_env(cheetahs)).startswith("ok: 2 agents, actions of 3 numbers")


def test_the_reward_is_the_teams(cheetahs):
    rollout = cheetahs.rollout(7, break_when_any_done=False)
    assert has_one_reward(rollout)
    assert rollout["next", "truncated"][:, 4].all()
    assert not rollout["next", "terminated"].any()


def test_a_seed_repeats_an_episode(cheetahs):
    def episode():
        cheetahs.set_seed(3)
        torch.manual_seed(0)
        return cheetahs.rollout(5)["next", "agents", "reward"]

    assert torch.equal(episode(), episode())
