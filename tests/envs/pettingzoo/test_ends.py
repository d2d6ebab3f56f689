"""Ends of episodes: terminations, truncations, clocks, agents that die."""

import torch
from torch import tensor

import zoo
from pettingzoo_helpers import changed_line, flags, line_env, play_action, play_random


def test_the_environments_limit_and_the_horizon_truncate():
    expected = {"terminated": [0, 0], "truncated": [0, 1], "done": [0, 1]}
    assert flags(play_action(line_env(limit=2), 2)) == expected
    assert flags(play_action(line_env(horizon=2), 2)) == expected
    assert flags(play_action(line_env(limit=1, horizon=9), 2))["truncated"] == [1, 1]


def test_termination_at_the_horizon_is_no_truncation():
    """The last observation and state are those of the end."""
    env = line_env(terminated_at=dict.fromkeys(zoo.AGENTS, 2), horizon=2, with_state=True)
    td = play_action(env, 2)
    assert flags(td) == {"terminated": [0, 1], "truncated": [0, 0], "done": [0, 1]}
    last = td["next", "agents"][0, 1]
    assert last["observation"][:, 0].all()
    assert last["state"][:, 1].tolist() == [2, 2, 2]


def test_a_partial_reset_leaves_the_other_copies_alone():
    env = line_env(num_envs=3)
    env.reset()
    env.copies.envs[1].max_cycles = 2
    td = play_action(env, 6)
    assert td["next", "done"].squeeze(-1).int().tolist() == [
        [0, 0, 0, 0, 0, 1],
        [0, 1, 0, 1, 0, 1],
        [0, 0, 0, 0, 0, 1],
    ]
    assert td["episode", "length"][1].flatten().tolist() == [0, 1, 0, 1, 0, 1]
    assert td["agents", "observation"][0, :, 1, 1].tolist() == [0, 1, 2, 3, 4, 5]
    starts = td["agents", "observation"][1, ::2, 0, 0]
    assert len(starts.unique()) == 3  # the copy goes on with its own random numbers


class TestDyingAgents:
    def test_each_agent_ends_at_its_own_step(self):
        """Bob is terminated in step 2, Cat truncated in step 3, Ann terminated in step 5."""
        deaths = dict(terminated_at={"bob": 2, "ann": 5}, truncated_at={"cat": 3})
        td = play_action(line_env(dying=True, **deaths), 6)
        mask = td["agents", "mask"][0]
        after = td["next", "agents", "mask"][0]
        alive = [[1, 1, 1], [1, 1, 1], [1, 0, 1], [1, 0, 0], [1, 0, 0]]
        assert mask[:5].int().tolist() == alive
        assert torch.equal(after[:4], mask[1:5])
        assert not after[4].any()
        assert mask[5].all()  # the next episode
        assert flags(td) == {
            "terminated": [0, 0, 0, 0, 1, 0],  # nothing comes after Ann's end
            "truncated": [0, 0, 0, 0, 0, 0],
            "done": [0, 0, 0, 0, 1, 0],
        }

    def test_the_dead_have_zero_observations_and_rewards(self):
        """Bob still gets the reward of step 2, in which he dies."""
        td = play_action(line_env(dying=True, terminated_at={"bob": 2}), 4)
        reward = td["next", "agents", "reward"][0, :, 1, 0]
        assert torch.equal(reward != 0, tensor([1, 1, 0, 0]).bool())
        observation = td["next", "agents", "observation"][0, :, 1]
        assert torch.equal(observation.any(-1), tensor([1, 0, 0, 0]).bool())

    def test_the_dead_may_take_any_of_their_actions(self):
        td = play_random(line_env(dying=True, terminated_at={"bob": 2}, mask_in="info"), 4)
        mask = td["agents", "action_mask"][0, 3]
        assert mask[1].tolist() == [True, True, True, False]
        assert mask[2].tolist() == [False, True, True, True]

    def test_a_team_of_which_all_are_terminated_is_terminated(self):
        td = play_action(line_env(dying=True, terminated_at={"ann": 1, "bob": 2, "cat": 3}), 3)
        assert flags(td) == {"terminated": [0, 0, 1], "truncated": [0, 0, 0], "done": [0, 0, 1]}

    def test_a_team_whose_last_agent_is_truncated_is_truncated(self):
        """Cat, who is truncated, is alive and has an observation; Bob is not."""
        td = play_action(line_env(dying=True, terminated_at={"ann": 1, "bob": 3}, limit=3), 3)
        assert flags(td) == {"terminated": [0, 0, 0], "truncated": [0, 0, 1], "done": [0, 0, 1]}
        last = td["next", "agents"][0, 2]
        assert last["mask"].tolist() == [False, False, True]
        assert last["observation"][2, 0] > 0


class TestAnAgentsOwnClock:
    """Cat is truncated in step 2 and the others go on: its last observation has a value."""

    def play(self, **options):
        env = line_env(dying=True, truncated_at={"cat": 2}, with_state=True, **options)
        return play_action(env, 4)

    def test_its_last_observation_and_state_are_kept(self):
        agents = self.play()["next", "agents"][0, :, 2]
        place = agents["observation"][0, 0].item()
        assert agents["observation"][1].tolist() == [place + 2, 2, -1]
        assert agents["state"][1].tolist() == [place + 2, 2, 9]

    def test_it_observes_zeros_from_the_next_step_on(self):
        agents = self.play()["next", "agents"][0, 2:, 2]
        for name in ("observation", "state", "reward"):
            assert not agents[name].any()

    def test_it_is_bootstrapped_once_and_dead_at_once(self):
        agents = self.play()["next", "agents"][0, :, 2]
        assert agents["mask"].tolist() == [True, False, False, False]
        assert agents["bootstrap"].tolist() == [True, True, False, False]

    def test_it_may_take_any_of_its_actions(self):
        mask = self.play(mask_in="info")["next", "agents", "action_mask"][0, 1:, 2]
        assert mask.all()

    def test_it_is_bootstrapped_again_in_the_next_episode(self):
        td = play_action(line_env(dying=True, truncated_at={"cat": 1}, limit=2), 3)
        assert td["next", "agents", "bootstrap"][0, :, 2].tolist() == [True, False, True]
        assert td["agents", "bootstrap"][0, 2].all()

    def test_its_last_observation_must_not_be_missing(self, refused):
        def forget(env, observations, *rest):
            del observations["cat"]

        with refused("in step 2: there is no observation of cat"):
            env = changed_line(of_step=forget, dying=True, truncated_at={"cat": 2})
            play_action(env, 2)


def test_a_terminated_agent_is_not_bootstrapped_and_need_not_observe():
    """Bob is terminated in step 2."""

    def forget(env, observations, *rest):
        del observations["bob"]
        del rest[-1]["bob"]

    env = changed_line(of_step=forget, dying=True, with_state=True, terminated_at={"bob": 2})
    bootstrap = play_action(env, 3)["next", "agents", "bootstrap"]
    assert bootstrap[0, :, 1].tolist() == [True, False, False]
    assert bootstrap[0, :, [0, 2]].all()


def test_an_agent_that_terminates_when_the_clock_takes_the_rest_is_not_bootstrapped():
    for clock in (dict(limit=3), dict(horizon=3), dict(truncated_at={"bob": 3, "cat": 3})):
        td = play_action(line_env(dying=True, terminated_at={"ann": 3}, **clock), 3)
        assert flags(td)["truncated"] == [0, 0, 1]
        last = td["next", "agents"][0, 2]
        assert last["bootstrap"].tolist() == [False, True, True]
        assert last["mask"].tolist() == [False, True, True]


def test_agents_that_end_in_different_ways_need_dying(refused):
    with refused("terminated for ann and truncated for bob, cat", "dying=true"):
        play_action(line_env(terminated_at={"ann": 3}, limit=3), 3)


def test_an_agent_that_is_terminated_and_truncated_is_terminated():
    both = dict(terminated_at=dict.fromkeys(zoo.AGENTS, 2), limit=2)
    for dying in (False, True):
        td = play_action(line_env(dying=dying, **both), 2)
        assert flags(td) == {"terminated": [0, 1], "truncated": [0, 0], "done": [0, 1]}
