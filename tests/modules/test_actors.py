"""Actors: against TorchRL's, with impossible actions, in every exploration mode."""

import pytest
import torch
from tensordict import TensorDict
from torch.nn import functional as F
from torchrl.envs.utils import ExplorationType, set_exploration_type

from helpers import torchrl_policy
from ilvf.modules import CategoricalActor, GreedyActor, RandomActor
from ilvf.modules.actions import Choices
from ilvf.modules.actors.greedy import RandomFirst, linear_schedule

N = 3  # agents
D = 5  # numbers of an observation
A = 4  # actions


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def observed(observation, mask=None):
    """What an actor reads."""
    agents = {"observation": observation}
    if mask is not None:
        agents["action_mask"] = mask
    return TensorDict({"agents": agents}, [len(observation)])


def shares_of(action):
    """How often every agent takes every action, `[N, A]`."""
    return F.one_hot(action, A).float().mean(0)


# ---------------------------------------------------------------------- CategoricalActor
def test_a_categorical_actor_samples_like_torchrls_policy():
    """The same networks in a ProbabilisticActor: equal log-probabilities, and their frequencies."""
    actor = CategoricalActor(N, D, A, hidden=8, gain=1.0)
    theirs = torchrl_policy(actor)
    td = observed(torch.randn(500, N, D))
    ours = actor(td.clone())
    expected = theirs.get_dist(td.clone()).log_prob(ours["agents", "action"])
    assert torch.allclose(ours["agents", "action_log_prob"], expected, atol=1e-5)
    assert set(theirs(td.clone())["agents"].keys()) >= {"action", "action_log_prob"}
    one_observation = torch.randn(1, N, D)
    draws = actor(observed(one_observation.expand(20_000, N, D)))["agents", "action"]
    assert torch.allclose(shares_of(draws), actor.log_probs(one_observation)[0].exp(), atol=0.02)


@pytest.mark.parametrize("mode", [ExplorationType.DETERMINISTIC, ExplorationType.MODE])
def test_deterministic_modes_take_the_most_likely_action(mode):
    actor = CategoricalActor(N, D, A, hidden=8, gain=1.0)
    td = observed(torch.randn(500, N, D))
    with set_exploration_type(mode):
        action = actor(td)["agents", "action"]
    assert torch.equal(action, actor.log_probs(td["agents", "observation"]).argmax(-1))


def test_the_entropy_is_that_of_torchrls_policy():
    actor = CategoricalActor(N, D, A, hidden=8, gain=1.0)
    td = actor(observed(torch.randn(50, N, D)))
    _, entropy = actor.evaluate(td)
    assert torch.allclose(entropy, torchrl_policy(actor).get_dist(td).entropy(), atol=1e-5)


def test_a_categorical_actor_never_takes_an_impossible_action():
    actor = CategoricalActor(N, D, A, hidden=8, masked=True)
    mask = torch.rand(500, N, A) > 0.5
    mask[..., 0] = True
    td = actor(observed(torch.randn(500, N, D), mask))
    assert mask.gather(-1, td["agents", "action"].unsqueeze(-1)).all()
    log_prob, entropy = actor.evaluate(td)
    assert torch.isfinite(log_prob).all()
    assert torch.isfinite(entropy).all()
    one_is_possible = mask.sum(-1) == 1
    assert torch.allclose(entropy[one_is_possible], torch.zeros(()), atol=1e-6)


@pytest.mark.parametrize("make", [CategoricalActor, GreedyActor])
def test_an_actor_is_rebuilt_from_its_arguments(make):
    """From its arguments, as checkpoints have them, and its parameters."""
    actor = make(N, D, A, hidden=8, activation="tanh", share=True, masked=True, group="team")
    assert actor.arguments == {
        "recurrent": "none",
        "n_agents": N,
        "observation_dim": D,
        "n_actions": A,
        "hidden": 8,
        "depth": 2,
        "activation": "tanh",
        "hidden_norm": False,
        "share": True,
        "input_norm": "layer",
        "gain": 0.01,
        "masked": True,
        "group": "team",
    }
    again = make.rebuild(actor.arguments, actor.state_dict())
    observation = torch.randn(6, N, D)
    assert torch.equal(again.outputs(observation), actor.outputs(observation))
    assert again.in_keys == [("team", "observation"), ("team", "action_mask")]
    assert not again.training


# ---------------------------------------------------------------------- RandomActor
def test_a_random_actor_takes_every_possible_action_equally_often():
    actor = RandomActor(A, masked=True)
    mask = torch.ones(4000, N, A, dtype=torch.bool)
    mask[:, 1, 2:] = False
    td = actor(observed(torch.randn(4000, N, D), mask))
    shares = shares_of(td["agents", "action"])
    assert shares[0].tolist() == pytest.approx([0.25] * 4, abs=0.03)
    assert shares[1].tolist() == pytest.approx([0.5, 0.5, 0.0, 0.0], abs=0.03)
    chances = td["agents", "action_log_prob"].exp()
    assert torch.allclose(chances[:, 0], torch.tensor(0.25))
    assert torch.allclose(chances[:, 1], torch.tensor(0.5))


# ---------------------------------------------------------------------- GreedyActor
def test_epsilon_is_the_share_of_random_actions():
    """A random action is the best one in 1 of A cases: the best is taken with 1 − ε (A − 1) / A."""
    actor = GreedyActor(N, D, A, hidden=8)
    td = observed(torch.randn(1, N, D).expand(3000, N, D))
    best = actor.values(td["agents", "observation"]).argmax(-1)
    for epsilon in (0.0, 0.3, 1.0):
        actor.epsilon.fill_(epsilon)
        share = (actor(td)["agents", "action"] == best).float().mean().item()
        assert share == pytest.approx(1 - epsilon * (A - 1) / A, abs=0.02)
        with set_exploration_type(ExplorationType.DETERMINISTIC):
            assert torch.equal(actor(td)["agents", "action"], best)


@pytest.mark.parametrize("epsilon", [0.0, 1.0])
def test_a_greedy_actor_never_takes_an_impossible_action(epsilon):
    actor = GreedyActor(N, D, A, hidden=8, masked=True)
    actor.epsilon.fill_(epsilon)
    mask = torch.zeros(500, N, A, dtype=torch.bool)
    mask[..., 1] = True
    mask[:, 0, 2] = True
    td = actor(observed(torch.randn(500, N, D), mask))
    assert mask.gather(-1, td["agents", "action"].unsqueeze(-1)).all()


def test_random_actions_are_the_possible_ones():
    mask = torch.zeros(500, N, A, dtype=torch.bool)
    mask[..., 1] = True
    mask[:, 0, 2] = True
    action = Choices(A).random(mask.float(), mask)
    assert set(action[:, 0].tolist()) == {1, 2}
    assert set(action[:, 1:].flatten().tolist()) == {1}


def test_random_first_takes_random_actions_until_it_is_switched():
    actor = CategoricalActor(N, D, A, hidden=8, gain=100.0)
    explorer = RandomFirst(actor)
    td = observed(torch.arange(D).float().expand(3000, N, D))
    explorer.random = True
    shares = shares_of(explorer(td)["agents", "action"])
    assert torch.allclose(shares, torch.full((N, A), 1 / A), atol=0.04)
    assert "action_log_prob" not in td["agents"]
    explorer.random = False
    assert "action_log_prob" in explorer(td)["agents"]  # written by the actor


def test_a_linear_schedule_falls_from_start_to_end():
    values = [linear_schedule(frames, 1.0, 0.1, 100) for frames in (0, 50, 100, 1000)]
    assert values == pytest.approx([1.0, 0.55, 0.1, 0.1])
    assert linear_schedule(0, 1.0, 0.1, 0) == 0.1
