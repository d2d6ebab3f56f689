"""VMAS scenarios: the numbers are VMAS's own, copies are independent, and what is refused.

The contract of all batched environments is in `tests/envs/test_contracts.py`.
"""

import sys

import pytest
import torch
from PIL import Image
from vmas.simulator.environment import Environment

from env_helpers import play, play_random, start_in
from ilvf.envs import Vmas, as_pettingzoo, check_env, make_env
from ilvf.envs.vmas.making import make_scenario
from ilvf.envs.vmas.random_numbers import random_numbers


def actions_of(env, steps):
    """Random possible actions `[B, N]` of each step."""
    rng = torch.Generator().manual_seed(1)
    counts = torch.tensor(env.simulator.action_counts)
    shape = (*env.batch_size, env.n_agents)
    return [(torch.rand(shape, generator=rng) * counts).long() for _ in range(steps)]


# ---------------------------------------------------------------------- VMAS's own numbers
@pytest.mark.parametrize("task", ["navigation", "transport", "wheel"])
def test_numbers_are_those_of_vmas(task):
    env = Vmas(task, num_envs=2, seed=3)
    actions = actions_of(env, 5)
    env.set_seed(3)
    ours = play(env, actions)
    rng = torch.Generator().manual_seed(3)
    with random_numbers(rng):
        theirs = make_scenario(task, {}, 2, "cpu")
    rng.manual_seed(3)
    with random_numbers(rng):
        seen = theirs.reset()
    for t, action in enumerate(actions):
        assert torch.equal(ours["agents", "observation"][:, t], torch.stack(seen, 1))
        with random_numbers(rng):
            seen, rewards, *_ = theirs.step(list(action.unsqueeze(-1).unbind(1)))
        expected = torch.stack([reward.reshape(2) for reward in rewards], -1)
        assert torch.equal(ours["next", "agents", "reward"][:, t, :, 0], expected)


def test_other_random_numbers_stay_as_they_are():
    shared = Environment.vmas_random_state[0].clone()
    before = torch.get_rng_state()
    env = Vmas(num_envs=2, seed=0)
    play_random(env, steps=3)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(shared, Environment.vmas_random_state[0])


def test_two_environments_do_not_share_random_numbers():
    alone = play_random(Vmas(num_envs=2, seed=0, horizon=3))
    env = Vmas(num_envs=2, seed=0, horizon=3)
    play_random(Vmas(num_envs=2, seed=1), steps=2)
    assert (play_random(env) == alone).all()


# ---------------------------------------------------------------------- episodes
def test_an_end_is_a_termination_of_one_copy_and_begins_its_next_episode():
    """Random teams drop the package of `balance` soon, at different times."""
    env = Vmas("balance", num_envs=8, seed=0)
    torch.manual_seed(0)
    rollout = env.rollout(80, break_when_any_done=False)
    ended = rollout["next", "terminated"][..., 0]
    assert ended.any()
    assert not ended.all(0).any()
    assert not rollout["next", "truncated"].any()
    copy, step = ended[:, :-1].nonzero()[0].tolist()
    length = rollout["episode", "length"][..., 0]
    assert length[copy, step + 1] == 0
    others = ~ended[:, step]
    assert (length[others, step + 1] == length[others, step] + 1).all()


def test_a_horizon_truncates():
    rollout = play_random(Vmas(num_envs=2, seed=0, horizon=4), steps=4)
    assert rollout["next", "truncated"][:, -1].all()
    assert not rollout["next", "terminated"].any()


def test_agents_with_fewer_actions_have_a_mask():
    env = Vmas("simple_world_comm", num_envs=2, seed=0)
    mask = env.reset()["agents", "action_mask"]
    assert mask.sum(-1)[0].tolist() == env.simulator.action_counts
    assert check_env(env).masked


def test_observations_are_padded():
    env = Vmas("simple_tag", num_envs=2, seed=0)
    sizes = env.observation_mask.sum(-1).tolist()
    assert sizes == [16, 16, 16, 14]
    assert not env.reset()["agents", "observation"][:, 3, 14:].any()


def test_rewards_of_navigation_are_each_agents_own():
    own = play_random(Vmas(kwargs={"shared_rew": False}, num_envs=2, seed=0))
    shared = play_random(Vmas(num_envs=2, seed=0))
    assert own["next", "agents", "reward"].std(2).amax() > 0
    assert shared["next", "agents", "reward"].std(2).amax() == 0


def test_another_world_is_written_before_it_is_advanced():
    env = Vmas(num_envs=2, seed=0)
    td = env.reset()
    start = env.get_state()
    td.set(("agents", "action"), torch.ones(2, 4, dtype=torch.int64))
    first = env.step(td.clone())["next", "agents", "observation"]
    env.step(td.clone())
    again = start_in(env, {k: v for k, v in start.items() if k != "rng"})
    again.set(("agents", "action"), torch.ones(2, 4, dtype=torch.int64))
    assert torch.equal(env.step(again)["next", "agents", "observation"], first)


# ---------------------------------------------------------------------- other libraries, pictures
def test_it_is_a_pettingzoo_environment_too():
    env = as_pettingzoo("vmas", task="balance")
    observations, _ = env.reset(seed=0)
    assert {x.shape for x in observations.values()} == {(16,)}
    rewards = env.step(dict.fromkeys(env.agents, 1))[1]
    assert set(rewards) == {"agent_0", "agent_1", "agent_2"}


@pytest.mark.parametrize("task", ["navigation", "balance", "passage"])
def test_a_picture_has_every_body(task, tmp_path):
    env = Vmas(task, num_envs=2, seed=0, horizon=5)
    for rollout in (None, play_random(env, steps=7)):
        (axes,) = env.draw(rollout).axes
        assert len(axes.patches) == len(env.simulator.env.world.entities)
        assert len(axes.lines) == env.n_agents
    env.animate(rollout, tmp_path / "episode.gif", index=1)
    with Image.open(tmp_path / "episode.gif") as animation:
        assert animation.n_frames > 5


# ---------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"task": "navigatoin"}, "did you mean 'navigation'?"),
        ({"task": "../navigation"}, "no scenario of VMAS"),
        ({"task": 3}, "task=3 must be a word"),
        ({"kwargs": {"n_agent": 3}}, "{'n_agent': 3}"),
        ({"kwargs": {"n_agents": 0}}, "cannot be made with kwargs={'n_agents': 0}"),
        ({"kwargs": {"n_agents": "many"}}, "TypeError"),
        ({"kwargs": {"max_steps": 3}}, "max_steps"),
        ({"kwargs": {"continuous_actions": True}}, "continuous_actions"),
        ({"horizon": 0}, "horizon=0 must be at least 1"),
        ({"num_envs": 0}, "num_envs=0"),
    ],
)
def test_bad_input_is_refused(options, words, refused):
    with refused(words):
        make_env("vmas", **options)


@pytest.mark.parametrize("task", ["simple_push", "simple_reference", "ball_passage", "football"])
def test_a_scenario_whose_copies_depend_on_each_other_is_refused(task, refused):
    with refused(f"task={task} keeps ", "for all copies at once"):
        Vmas(task)


def test_without_vmas_the_extra_is_named(monkeypatch, refused):
    monkeypatch.setitem(sys.modules, "vmas", None)
    with refused('pip install "ilvf[vmas]"'):
        Vmas()
