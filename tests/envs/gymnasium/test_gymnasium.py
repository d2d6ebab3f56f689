"""Gymnasium environments of a team: spaces, rewards, ends, packages, and what is refused."""

import sys

import gymnasium
import pytest
import torch

from env_helpers import play
from ilvf.envs import Gymnasium, check_env, make_env

TASK = "team_gym:Steps-v0"
SUITES = {"Foraging-8x8-2p-3f-v3": (15, 6, 50), "rware-tiny-2ag-v2": (71, 5, 500)}


def steps_env(task=TASK, num_envs=2, **options):
    """Copies of `team_gym.Steps`."""
    own = {k: options.pop(k) for k in ("workers", "horizon") if k in options}
    return Gymnasium(task, options, num_envs=num_envs, seed=0, **own)


def play_ones(env, steps):
    """A rollout in which agent 0 takes action 1, and agent 1 action 2."""
    return play(env, [torch.tensor([[1, 2]]).expand(*env.batch_size, -1)] * steps)


# ---------------------------------------------------------------------- a team
def test_agents_are_the_entries_of_the_tuples():
    env = steps_env()
    assert str(check_env(env)).startswith("ok: 2 agents, 3 actions, observation 2")
    rollout = play_ones(env, 3)
    assert rollout["next", "agents", "reward"][0, 0].flatten().tolist() == [1, 2]
    assert rollout["next", "agents", "observation"][0, 1, 0].tolist() == [2, 0]
    assert env.observation_mask.tolist() == [[True, False], [True, True]]


def test_actions_can_be_continuous_within_bounds(refused):
    env = steps_env(bound=4)
    assert str(check_env(env)).startswith("ok: 2 agents, actions of 1 numbers, observation 2")
    with refused("Box", "finite"):
        steps_env(bound=float("inf"))


@pytest.mark.parametrize("per_agent", [False, True, "array"])
def test_a_time_limit_is_no_end_of_the_task(per_agent):
    """Although the environment calls both a termination."""
    rollout = play_ones(steps_env(per_agent=per_agent), 6)["next"]
    assert rollout["truncated"][0].flatten().tolist() == [False] * 5 + [True]
    assert not rollout["terminated"].any()
    rollout = play_ones(steps_env(per_agent=per_agent, ends_at=3), 3)["next"]
    assert rollout["terminated"][0].flatten().tolist() == [False, False, True]
    assert not rollout["truncated"].any()


def test_the_shorter_time_limit_counts():
    assert steps_env().horizon == 6
    assert steps_env("team_gym:Limited-v0").horizon == 4
    assert steps_env("team_gym:Limited-v0", limit=3).horizon == 3
    assert play_ones(steps_env("team_gym:Limited-v0"), 4)["next", "truncated"][0, -1]
    assert steps_env(horizon=2).horizon == 2


@pytest.mark.slow
def test_workers_give_the_same_numbers():
    with_workers = steps_env(workers=2, num_envs=3)
    try:
        assert (play_ones(with_workers, 9) == play_ones(steps_env(num_envs=3), 9)).all()
    finally:
        with_workers.close()


# ---------------------------------------------------------------------- the suites
@pytest.mark.parametrize("task", SUITES)
def test_a_suite_fits(task):
    env = make_env("gymnasium", task=task, num_envs=2, seed=0)
    facts = check_env(env)
    assert (facts.observation_dim, facts.n_actions, env.horizon) == SUITES[task]
    assert facts.n_agents == 2


@pytest.mark.parametrize("task", SUITES)
def test_numbers_are_those_of_the_suite(task):
    """In the first episode after the same seed; the action 1 moves both agents."""
    ours = play_ones(Gymnasium(task, num_envs=1, seed=7), 10)[0]
    theirs = gymnasium.make(task, disable_env_checker=True)
    seen, _ = theirs.reset(seed=7)
    for t in range(10):
        assert ours["agents", "observation"][t].tolist() == [list(x) for x in seen]
        seen, rewards, *_ = theirs.step((1, 2))
        assert ours["next", "agents", "reward"][t].flatten().tolist() == [float(r) for r in rewards]


def test_arguments_replace_those_of_the_registration():
    env = Gymnasium("Foraging-8x8-2p-3f-v3", {"players": 4, "max_episode_steps": 9})
    assert (env.n_agents, env.horizon) == (4, 9)


# ---------------------------------------------------------------------- refusals
FAULTS = {
    "one space": "action space Discrete(3), need a Tuple",
    "three spaces": "3 action spaces and 2 observation spaces",
}
FAULTS_IN_A_STEP = {
    "one reward": "rewards are 3.0, need a list with 2",
    "three observations": "observations are a tuple of 3 entries, need a list with 2",
    "four results": "step returned a tuple of 4 entries",
    "one agent": "terminated differs between agents: [True, False]",
    "raise": "RuntimeError: no shelf",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_no_team_is_refused(fault, refused):
    with refused(FAULTS[fault]):
        steps_env(fault=fault)


@pytest.mark.parametrize("fault", FAULTS_IN_A_STEP)
def test_a_fault_of_a_step_is_named(fault, refused):
    env = steps_env(fault=fault)
    with refused("(copy 0) in step 2", FAULTS_IN_A_STEP[fault]):
        play_ones(env, 2)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("CartPole-v1", "need a Tuple"),
        ("Foraging-8x8-2p-3f-v9", "is not registered"),
        ("nothing", "is not registered"),
        ("", "names no environment"),
        ("team_gym:", "names no environment"),
        ("nowhere:Steps-v0", "pip install nowhere"),
        ("os:Steps-v0", "Python's own module os"),
        ("a:b:c", "is no module"),
    ],
)
def test_a_wrong_task_is_refused(task, words, refused):
    with refused(words):
        Gymnasium(task)


def test_a_missing_suite_names_its_extra(monkeypatch, refused):
    monkeypatch.setitem(sys.modules, "rware", None)
    with refused('pip install "ilvf[rware]"'):
        Gymnasium("rware-tiny-2ag-v2")


def test_wrong_arguments_are_refused(refused):
    with refused("cannot be made with kwargs={'size': 3}", "size"):
        steps_env(size=3)
