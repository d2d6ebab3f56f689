"""Interventions: the states they start from, what is changed, and what makes them impossible."""

import dataclasses

import pytest
import torch
from tensordict.nn import TensorDictModule
from torch import nn

from ilvf.analysis import audit, intervene, visited_states
from ilvf.envs import Encircle
from ilvf.modules import CategoricalActor

QUIET = dict(progress=False)


def encircle(num_envs=8, horizon=10, seed=0):
    return Encircle(4, num_envs=num_envs, horizon=horizon, seed=seed)


@pytest.fixture
def actor():
    torch.manual_seed(0)
    return CategoricalActor(4, 18, 5, hidden=8)


@pytest.fixture
def visited(actor):
    return visited_states(encircle(4), actor)


class ThreeSteps(Encircle):
    """Terminates at the third step."""

    def _step(self, td):
        out = super()._step(td)
        out["terminated"] = (self.world["step"] >= 3).unsqueeze(-1)
        out["done"] = out["terminated"] | out["truncated"]
        return out


class Unrepeatable(Encircle):
    """Its rewards have noise of torch's generator, which `set_state` does not restore."""

    def reward(self, world):
        return super().reward(world) + torch.rand(())


def test_visited_states_are_uniform_over_the_first_episode(actor):
    """Of three steps out of thirty: no state from after the end, and every step equally often."""
    env = ThreeSteps(4, num_envs=300, horizon=30, seed=0)
    step = visited_states(env, actor)["step"]
    assert torch.bincount(step).tolist() == pytest.approx([100, 100, 100], abs=30)


def test_only_the_first_action_of_one_agent_is_changed(actor):
    """In one step the change of agent i alters exactly the rewards that its position enters."""
    env = encircle(64, horizon=1)
    visited = visited_states(encircle(8, seed=1), actor)
    measured = intervene(env, actor, visited, actions=2, repeats=2, steps=1, **QUIET)
    k, m, r, n, a = 8, 2, 2, 4, 5
    assert measured.effect.shape == (k, m, r, n, a, n)
    changed = (measured.effect != 0).any(0).any(0).any(0).any(1)
    assert torch.equal(changed, env.reward_graph.T)


def test_the_drawn_action_has_no_effect_on_itself(actor):
    """8 states × 2 joint actions × 2 futures are 32 rows: the second piece of 30 is padded."""
    visited = visited_states(encircle(8, seed=1), actor)
    measured = intervene(encircle(30), actor, visited, actions=2, repeats=2, steps=2, **QUIET)
    drawn = ~measured.alternatives.unsqueeze(2).unsqueeze(-1)
    assert measured.effect.shape[:3] == (8, 2, 2)
    assert not measured.effect.masked_select(drawn).any()
    assert measured.effect[-1].any()


def test_an_episode_that_the_clock_cuts_is_refused(actor, visited, refused):
    with refused("clock", "before 12 steps", "'step'"):
        intervene(encircle(16), actor, visited, steps=12, **QUIET)


def test_noise_that_is_not_restored_is_refused(actor, visited, refused):
    env = Unrepeatable(4, num_envs=16, horizon=10, seed=0)
    with refused("Unrepeatable", "does not repeat itself", "'rng'"):
        intervene(env, actor, visited, **QUIET)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (dict(repeats=1), ["repeats=1", "at least 2"]),
        (dict(actions=1), ["actions=1", "at least 2"]),
        (dict(level=2), ["level=2", "(0, 1)"]),
        (dict(steps=0), ["steps=0"]),
    ],
)
def test_wrong_options_are_refused(options, words, actor, visited, refused):
    with refused(*words):
        audit(encircle(), actor, visited, **QUIET, **options)


def test_wrong_states_are_refused(actor, visited, refused):
    with refused("no states"):
        intervene(encircle(), actor, {}, **QUIET)
    with refused("number", "position"):
        intervene(encircle(), actor, {**visited, "position": visited["position"][:2]}, **QUIET)


def test_a_policy_without_probabilities_is_refused(visited, refused):
    keys = dict(in_keys=[("agents", "observation")], out_keys=[("agents", "action")])
    policy = TensorDictModule(nn.Linear(18, 2), **keys)
    with refused("discrete", "TensorDictModule"):
        intervene(encircle(), policy, visited, **QUIET)


def test_an_environment_without_states_is_refused(actor, visited, refused):
    stateless = dataclasses.make_dataclass("Stateless", [])
    with refused("Stateless", "set_state"):
        intervene(stateless(), actor, visited)
