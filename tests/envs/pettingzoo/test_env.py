"""PettingZoo environments as TorchRL environments: keys, numbers, seeds, masks, names."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from mpe2 import simple_spread_v3
from torch import tensor
from torchrl.envs.utils import check_env_specs

import zoo
from ilvf import check_env
from ilvf.analysis import visited_states
from ilvf.checkpoints.state import load_env, save_run_state
from ilvf.envs import PettingZoo, make_env
from ilvf.envs.pettingzoo.__main__ import main
from pettingzoo_helpers import line_env, play_action, play_random

ENVS = {
    "spread": lambda **k: make_env("pettingzoo/mpe2.simple_spread_v3", **k),
    "tag": lambda **k: make_env("pettingzoo/mpe2.simple_tag_v3", **k),
    "speaker and listener": lambda **k: make_env(
        "pettingzoo", task="mpe2.simple_speaker_listener_v4", **k
    ),
    "line": lambda **k: PettingZoo(zoo.Line, {"with_state": True}, global_state=True, **k),
    "mortal line": lambda **k: PettingZoo(
        zoo.Line, {"terminated_at": {"bob": 2}}, dying=True, horizon=4, **k
    ),
    "masked line": lambda **k: PettingZoo("zoo", {"mask_in": "info"}, **k),
}


@pytest.mark.parametrize("make", ENVS.values(), ids=ENVS)
class TestContract:
    def test_specs(self, make):
        check_env_specs(make(num_envs=3, seed=0), seed=0)
        facts = check_env(make(num_envs=3, seed=0))
        assert [note.split(":")[0] for note in facts.notes] == ["no get_state and set_state"]

    def test_the_same_seed_gives_the_same_numbers(self, make):
        env = make(num_envs=3, seed=4)
        first = play_random(env, 30)
        env.set_seed(4)
        assert (first == play_random(env, 30)).all()
        env.set_seed(5)
        assert not torch.equal(first["agents", "state"], play_random(env, 30)["agents", "state"])


# ---------------------------------------------------------------------- numbers
class TestAgentsOfDifferentSizes:
    """Ann, Bob and Cat have 1, 2 and 3 numbers, and 2, 3 and 4 actions."""

    @pytest.fixture(scope="class")
    def env(self):
        return line_env(with_state=True, global_state=True)

    @pytest.fixture(scope="class")
    def rollout(self, env):
        return play_action(env, 2, action=1)

    @pytest.fixture(scope="class")
    def place(self):
        """Places after one step: action 1 is number 0 + 1, 1 + 1 and 2 + 1."""
        start = np.random.default_rng(0).random(3).round(3)
        return torch.from_numpy(start + np.array([1, 2, 3])).float()

    def test_sizes_are_those_of_the_widest(self, env):
        assert env.agents == ("ann", "bob", "cat")
        assert env.n_agents == 3
        assert (env.observation_dim, env.state_dim, env.n_actions) == (3, 3, 4)
        assert env.horizon == 6
        assert env.masked

    def test_observations_and_states_are_padded_with_zeros(self, rollout, place):
        after = rollout["next", "agents"][0, 0]
        ann, bob, cat = place
        expected = tensor([[ann, 0, 0], [bob, 1, 0], [cat, 1, -1]])
        assert torch.equal(after["observation"], expected)
        expected = tensor([[ann, 1, 0], [bob, 1, 0], [cat, 1, 9]])
        assert torch.equal(after["state"], expected)

    def test_masks_mark_what_exists(self, rollout):
        agents = rollout["agents"][1, 1]
        exists = [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
        assert agents["observation_mask"].int().tolist() == exists
        possible = [[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
        assert agents["action_mask"].int().tolist() == possible

    def test_rewards_global_state_and_statistics(self, rollout, place):
        assert torch.equal(rollout["next", "agents", "reward"][0, 0, :, 0], place)
        assert torch.equal(rollout["next", "global_state"][0, 0], place)
        second = place + tensor([1.0, 2.0, 3.0])
        total = place.sum() + second.sum()
        assert torch.allclose(rollout["next", "episode", "return"][0, 1], total)
        assert rollout["next", "episode", "length"][0].flatten().tolist() == [1, 2]


@pytest.mark.parametrize("where", ["observation", "info"])
def test_action_masks_of_the_environment(where):
    td = play_random(line_env(mask_in=where), 4)
    mask = td["agents", "action_mask"]
    assert mask[0, 0].int().tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    assert mask[0, 1].int().tolist() == [[0, 1, 0, 0], [0, 1, 1, 0], [0, 1, 1, 1]]
    assert torch.equal(mask[:, 1:], td["next", "agents", "action_mask"][:, :-1])


def test_discrete_observations_are_one_hot():
    env = line_env(space=spaces.Discrete(4, start=7))
    assert env.observation_dim == 4
    after_one_step = play_action(env, 2)["agents", "observation"][0, 1, 0]
    assert after_one_step.tolist() == [0, 1, 0, 0]


def test_numbers_are_those_of_the_bare_environment():
    """Two copies over two ends of episodes, with the documented seeds."""
    env = PettingZoo("mpe2.simple_spread_v3", {"max_cycles": 7}, num_envs=2, seed=3)
    td = play_random(env, 20)
    for k in range(2):
        bare = simple_spread_v3.parallel_env(max_cycles=7)
        seen, _ = bare.reset(seed=3 + k * 100_003)
        for t in range(20):
            row = td[k, t]
            after = row["next", "agents"]
            assert np.array_equal(stacked(seen), row["agents", "observation"].numpy())
            actions = dict(zip(bare.agents, row["agents", "action"].tolist(), strict=True))
            seen, reward, *_ = bare.step(actions)
            assert np.allclose(list(reward.values()), after["reward"].flatten().numpy())
            assert np.array_equal(stacked(seen), after["observation"].numpy())
            assert bool(row["next", "truncated"]) == ((t + 1) % 7 == 0)
            if not bare.agents:
                seen, _ = bare.reset()


def stacked(observations):
    return np.stack(list(observations.values()))


# ---------------------------------------------------------------------- seeds and resets
def test_runs_with_neighbouring_seeds_have_no_copy_in_common():
    starts = []
    for seed in range(3):
        env = make_env("pettingzoo/zoo", num_envs=8, seed=seed)
        starts.append(env.reset()["agents", "state"])
    assert len(torch.cat(starts).flatten(1).unique(dim=0)) == 24


def test_the_reset_that_reads_the_sizes_is_that_of_the_first_episode():
    """A simulator's reset can take seconds, so none is wasted."""
    env = line_env(num_envs=2)
    td = env.reset()
    assert [e.resets for e in env.copies.envs] == [1, 1]
    env.set_seed(0)
    assert (env.reset() == td).all()
    assert [e.resets for e in env.copies.envs] == [2, 2]


def test_a_resumed_run_begins_other_episodes():
    """The same ones each time it is resumed."""
    fresh = line_env().reset()["agents", "state"]
    saved = save_run_state(line_env(), 40, "", saves=False)
    starts = []
    for _ in range(2):
        env = line_env()
        load_env(saved, env, 0, 1)
        starts.append(env.reset()["agents", "state"])
    assert torch.equal(*starts)
    assert not torch.equal(starts[0], fresh)


def test_it_cannot_be_audited(refused):
    with refused("PettingZoo has no get_state and set_state"):
        visited_states(line_env(), None)


def test_closing_closes_all_copies():
    env = line_env(num_envs=3)
    envs = list(env.copies.envs)
    env.close()
    assert [e.closed for e in envs] == [1, 1, 1]


# ---------------------------------------------------------------------- names
def test_tasks_by_module_and_by_function():
    assert make_env("pettingzoo/zoo:Line", num_envs=2).agents == ("ann", "bob", "cat")
    assert make_env("pettingzoo", task="mpe2.simple_spread_v3", kwargs={"N": 5}).n_agents == 5


def test_a_wrong_environment_is_refused(refused):
    with refused("needs a task"):
        make_env("pettingzoo")
    with refused("'petting'", "did you mean 'pettingzoo'"):
        make_env("petting")


def test_the_module_prints_what_a_task_is_like(capsys, refused):
    main(["zoo"])
    text = capsys.readouterr().out
    assert "cat              observes   3 numbers,  4 actions" in text
    assert "horizon 6" in text
    with refused("zoo:nothing makes an object of type object"):
        main(["zoo:nothing"])
