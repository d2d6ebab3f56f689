"""Interventions: the states they start from, what is changed, and what makes them impossible."""

import dataclasses

import pytest
import torch
from tensordict.nn import TensorDictModule
from torch import nn

from continuous_helpers import Aim
from ilvf.analysis import audit, intervene, visited_states
from ilvf.envs import Encircle
from ilvf.modules import CategoricalActor, DeterministicActor, GaussianActor

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


@pytest.mark.parametrize("alternatives", ["policy", "box"])
@pytest.mark.parametrize("distribution", ["normal", "tanh_normal"])
def test_continuous_actions_are_changed_within_the_box(alternatives, distribution):
    """Of `Aim`: only agent 0 moves the return of the other."""
    torch.manual_seed(0)
    actor = GaussianActor(2, 2, Aim().actions, hidden=8, distribution=distribution)
    visited = visited_states(Aim(num_envs=16, seed=0), actor)
    options = dict(actions=3, repeats=2, steps=3, choices=4, alternatives=alternatives, **QUIET)
    found = audit(Aim(num_envs=50), actor, visited, **options)
    measured = found.measured
    assert measured.effect.shape == (16, 3, 2, 2, 4, 2)
    assert measured.choices.shape == (16, 2, 4, 2)
    assert not Aim().actions.problem(measured.choices.transpose(1, 2), "Aim")
    assert measured.policy.unique().tolist() == [0.25]
    drawn = ~measured.alternatives.unsqueeze(2).unsqueeze(-1)
    assert not measured.effect.masked_select(drawn).any()
    assert found.significant.tolist() == [[True, True], [False, True]]
    assert measured.effect[:, :, :, 1, :, 0].abs().max() == 0
    assert found.cost(torch.tensor([[1.0, 1.0], [0.0, 1.0]]))["bias"] == 0
    assert found.cost(torch.eye(2))["bias"] > 0.1


def test_the_effect_of_a_continuous_action_is_the_difference_of_the_rewards():
    """In one step r_0 = −(u − t)²: the effect is that of the choice minus that of the drawn one."""
    torch.manual_seed(0)
    actor = GaussianActor(2, 2, Aim().actions, hidden=8)
    visited = visited_states(Aim(num_envs=6, seed=0), actor)
    m = intervene(Aim(num_envs=24), actor, visited, actions=2, repeats=2, steps=1, **QUIET)
    u = (m.choices[:, 0, :, 0] - 1) / 2  # of agent 0, [K, C]
    reward = -(u - visited["target"][:, 0, :1]).square()
    drawn = reward.gather(1, m.action[:, :, 0])  # [K, M]
    expected = reward.unsqueeze(1) - drawn.unsqueeze(-1)
    assert torch.allclose(m.effect[:, :, 0, 0, :, 0], expected, atol=1e-4)
    assert torch.allclose(m.effect[:, :, 0, 0, :, 1], expected / 2, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "words"),
    [(dict(alternatives="grid"), "policy, box"), (dict(choices=1), "at least 2")],
)
def test_wrong_choices_are_refused(options, words, refused):
    actor = GaussianActor(2, 2, Aim().actions, hidden=8)
    visited = visited_states(Aim(num_envs=4, seed=0), actor)
    with refused(words):
        intervene(Aim(num_envs=8), actor, visited, **options, **QUIET)


def test_a_deterministic_policy_is_refused(refused):
    actor = DeterministicActor(2, 2, Aim().actions, hidden=8)
    with refused("DeterministicActor", "a GaussianActor"):
        visited_states(Aim(num_envs=4, seed=0), actor)


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
