"""This library's environments as PettingZoo environments, and back."""

import functools
import warnings

import numpy as np
import pytest
import torch
from pettingzoo.test import parallel_api_test, parallel_seed_test

from continuous_helpers import Aim
from ilvf.envs import Encircle, PettingZoo, Tabular, as_pettingzoo, make_env
from ilvf.envs.options import ENVIRONMENTS
from ilvf.envs.pettingzoo.copies import SEED_STRIDE
from ilvf.envs.pettingzoo.export import main
from ilvf.modules import actions_of
from pettingzoo_helpers import line_env, play_random

NAMES = [name for name, declared in ENVIRONMENTS.items() if declared.contract is not None]
LONGEST = 130  # steps of a comparison; enough for two episodes of all environments but one


@pytest.mark.parametrize("name", NAMES)
class TestEveryEnvironment:
    def test_passes_pettingzoos_tests(self, name):
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            parallel_api_test(as_pettingzoo(name), num_cycles=60)
            parallel_seed_test(lambda: as_pettingzoo(name), num_cycles=20)

    @pytest.mark.slow
    def test_there_and_back_gives_the_same_numbers(self, name):
        """Those of the batched environment, over the ends of episodes."""
        back = PettingZoo(functools.partial(as_pettingzoo, name), num_envs=2, seed=1)
        assert back.horizon == make_env(name).horizon
        rollout = play_random(back, min(back.horizon + 10, LONGEST))
        for k in range(2):
            env = make_env(name, num_envs=1, seed=1 + SEED_STRIDE * k)
            td = env.reset()
            for step in rollout[k]:
                action = step["agents", "action"].unsqueeze(0)
                expected, td = env.step_and_maybe_reset(td.set(("agents", "action"), action))
                assert_same_step(expected[0], step, env)


def assert_same_step(expected, step, env):
    """`expected` is of the batched environment, whose observations may be padded elsewhere."""
    for before, after in ((expected, step), (expected["next"], step["next"])):
        observed = before["agents", "observation"][env.observation_mask]
        mask = after["agents", "observation_mask"]
        assert torch.equal(observed, after["agents", "observation"][mask])
        assert torch.equal(before["agents", "state"], after["agents", "state"])
        if env.masked:
            assert torch.equal(before["agents", "action_mask"], after["agents", "action_mask"])
    for key in (("agents", "reward"), "done", "terminated", "truncated"):
        assert torch.equal(expected["next", key], step["next", key])


# ---------------------------------------------------------------------- one environment in full
@pytest.fixture
def env():
    """Two steps of four agents; those with even numbers see no neighbours."""
    return as_pettingzoo(Encircle(4, horizon=2), render_mode="rgb_array")


def test_observations_have_no_padding(env):
    observations, _ = env.reset(seed=0)
    shapes = [env.observation_space(agent).shape for agent in env.agents]
    assert shapes == [(18,), (6,), (18,), (6,)]
    for agent in env.agents:
        assert env.observation_space(agent).contains(observations[agent])
    game = as_pettingzoo(Tabular("hidden_pairs"))
    sizes = [game.observation_space(agent).shape[0] for agent in game.possible_agents]
    assert sizes == game.env.observation_mask.sum(-1).tolist()


def test_the_global_state_is_that_of_all_agents(env):
    _, infos = env.reset(seed=0)
    assert np.array_equal(env.state(), np.concatenate([infos[a]["state"] for a in env.agents]))
    assert env.state_space.contains(env.state())


def test_the_last_step_truncates_and_has_statistics(env):
    env.reset(seed=0)
    total = 0.0
    for _ in range(2):
        actions = dict.fromkeys(env.agents, 2)
        _, rewards, terminations, truncations, infos = env.step(actions)
        total += sum(rewards.values())
    assert infos["agent_0"]["episode"]["return"] == pytest.approx(total)
    assert truncations == dict.fromkeys(env.possible_agents, True)
    assert terminations == dict.fromkeys(env.possible_agents, False)
    assert env.agents == []


def test_pictures_show_the_present_state(env):
    env.reset(seed=0)
    first = env.render()
    assert first.dtype == np.uint8
    assert first.shape[-1] == 3
    env.step(dict.fromkeys(env.agents, 2))
    assert (first != env.render()).any()
    assert as_pettingzoo("encircle").render() is None


def test_continuous_actions_there_and_back():
    """Boxes of unequal sizes lose their padding, and get it back."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        parallel_api_test(as_pettingzoo(Aim()), num_cycles=20)
    there = as_pettingzoo(Aim())
    assert [there.action_space(agent).shape for agent in there.possible_agents] == [(1,), (2,)]
    back = PettingZoo(lambda: as_pettingzoo(Aim(seed=3)), num_envs=1)
    assert actions_of(back).arguments == Aim().actions.arguments


# ---------------------------------------------------------------------- refusals
def test_wrong_continuous_actions_are_refused(refused):
    env = as_pettingzoo(Aim())
    env.reset(seed=0)
    fine = np.array([5, -1.5])
    with refused("the action of agent_0 has the shape (2,), need (1,)"):
        env.step({"agent_0": np.zeros(2), "agent_1": fine})
    with refused("the action of agent_0 is left; actions are (1,) numbers"):
        env.step({"agent_0": "left", "agent_1": fine})
    with refused("number 0 of agent 0's action is 4; Aim has -1 to 3"):
        env.step({"agent_0": np.array([4]), "agent_1": fine})


def test_wrong_actions_are_refused(refused):
    env = as_pettingzoo("encircle", n_agents=4, horizon=2)
    with refused("reset() begins"):
        env.step({})
    env.reset(seed=0)
    with refused("agent_3 has none"):
        env.step({"agent_0": 0, "agent_1": 0, "agent_2": 0})
    with refused("agent_1", "9", "0 to 4"):
        env.step({**dict.fromkeys(env.agents, 0), "agent_1": 9})


@pytest.mark.parametrize("action", ["x", None, 1.7, [1], 9, -1])
def test_what_is_no_choice_is_refused(action, refused):
    env = as_pettingzoo("encircle", n_agents=4)
    env.reset(seed=0)
    with refused("the action of agent_0", "whole numbers 0 to 4"):
        env.step(dict.fromkeys(env.agents, action))


def test_actions_and_seeds_of_another_kind_are_refused(refused):
    env = as_pettingzoo("encircle", n_agents=4)
    with refused("seed=-1", "whole number"):
        env.reset(seed=-1)
    env.reset(seed=0)
    with refused("actions must be a mapping"):
        env.step(None)


def test_wrong_environments_are_refused(refused):
    with refused("num_envs=2"):
        as_pettingzoo(Encircle(4, num_envs=2))
    with refused("n_agents", "ready environment"):
        as_pettingzoo(Encircle(4), n_agents=4)
    with refused("no scenario of this library"):
        as_pettingzoo(line_env())


def test_wrong_render_modes_are_refused(refused):
    with refused("render_mode='human'", "rgb_array"):
        as_pettingzoo("encircle", render_mode="human")
    with refused("render_mode='rgb_array'"):
        as_pettingzoo("tabular", render_mode="rgb_array")


def test_the_module_runs_pettingzoos_tests(capsys):
    main("tabular")
    text = capsys.readouterr().out
    assert "agent_0" in text
    assert "Passed Parallel API test" in text


def test_what_needs_a_reset_says_so(refused):
    env = as_pettingzoo("encircle", render_mode="rgb_array", num_envs=1)
    for method in ("state", "render"):
        with refused(f"{method}() comes after the first reset()"):
            getattr(env, method)()
    with refused("num_envs=2", "leave it out"):
        as_pettingzoo("encircle", num_envs=2)
