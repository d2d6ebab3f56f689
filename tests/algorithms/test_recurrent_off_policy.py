"""Recurrent teams, off-policy: what they solve, and every algorithm by its config.

In `Cue` a team without a memory is right in half of its episodes.
"""

import functools

import pytest
import torch

from algorithms.recurrent_parts import KEY, SMALL, maddpg, qmix, vdn
from continuous_helpers import Aim
from helpers import fit
from ilvf.algorithms import MADDPG
from ilvf.algorithms.options import ALGORITHMS, OffPolicyConfig
from ilvf.experiment.build import build
from ilvf.experiment.config import resolve
from ilvf.experiment.options import training_schema
from ilvf.modules import DeterministicActor, JointCritic
from memory_helpers import AGENTS


# ---------------------------------------------------------------------- learning
@functools.cache  # `make quick` needs some of the runs that the slow tests need
def share_of_right_actions(make, recurrent, iterations, seed, **options):
    module = fit(make(recurrent, seed, **options), iterations)
    return module.last_metrics["eval/return/team"] / AGENTS


def test_a_team_without_memory_cannot_know_the_cue():
    assert share_of_right_actions(qmix, "none", 8, 0) <= 0.55


@pytest.mark.parametrize("make", [qmix, vdn])
def test_a_recurrent_team_remembers_the_cue(make):
    assert share_of_right_actions(make, "gru", 8, 0) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize(("make", "iterations"), [(qmix, 8), (vdn, 8), (maddpg, 15)])
def test_another_memory_and_seed_teach_it_too(make, iterations):
    assert share_of_right_actions(make, "lstm", iterations, 1) >= 0.95


@pytest.mark.slow
def test_maddpg_needs_the_memory():
    assert share_of_right_actions(maddpg, "none", 15, 0) <= 0.55
    assert share_of_right_actions(maddpg, "gru", 15, 0) >= 0.95


@pytest.mark.slow
def test_a_burn_in_longer_than_an_episode_teaches_it_too():
    assert share_of_right_actions(qmix, "gru", 8, 0, burn_in=7) >= 0.95


def test_a_deterministic_actor_explores_with_its_memory():
    torch.manual_seed(0)
    actor = DeterministicActor(2, 2, Aim().actions, hidden=8, recurrent="gru")
    critic = JointCritic(2, Aim().state_dim, Aim().actions, hidden=8)
    options = {**SMALL, "noise": "ou", "warmup": 24, "burn_in": 1}
    module = fit(MADDPG(Aim, actor, critic, **options), 2)
    assert module.hidden[KEY].any()
    assert module.last_metrics["td/error"] > 0


# ---------------------------------------------------------------------- by configs
SETTINGS = (
    "env.n_agents=4",
    "env.horizon=5",
    "algorithm.num_envs=4",
    "algorithm.rollout_steps=6",
    "algorithm.chunk=3",
    "algorithm.updates=2",
    "algorithm.batch_size=10",
    "algorithm.warmup=0",
    "algorithm.hidden=8",
    "algorithm.eval_episodes=2",
)


def built(name, *arguments):
    return build(resolve(training_schema(name), [*SETTINGS, *arguments]))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        *((name, ()) for name, kind in ALGORITHMS.items() if issubclass(kind, OffPolicyConfig)),
        ("qmix", ("algorithm.mixer=vdn", "algorithm.share=true")),
        ("maddpg", ("env.continuous=true",)),
    ],
    ids=str,
)
def test_every_off_policy_algorithm_trains_a_recurrent_team(name, arguments):
    module = built(name, "algorithm.recurrent=gru", "algorithm.burn_in=2", *arguments)
    module = fit(module, 2)
    assert module.hidden[KEY].any()
    assert module.last_metrics["td/error"] > 0
    assert module.frames == module.options.frames_of(2)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("algorithm.chunk=4", ("chunk=4", "rollout_steps=6")),
        ("algorithm.chunk=7", ("chunk=7", "rollout_steps=6")),
        ("algorithm.burn_in=7", ("burn_in=7", "rollout_steps=6")),
    ],
)
def test_rollouts_consist_of_whole_chunks(argument, words, refused):
    with refused(*words):
        built("qmix", "algorithm.recurrent=gru", argument)


def test_without_a_memory_chunks_do_not_matter_and_a_burn_in_is_refused(refused):
    assert built("qmix", "algorithm.chunk=4").loss.actor.memory is None
    with refused("burn_in=2", "a memory"):
        built("qmix", "algorithm.burn_in=2")
