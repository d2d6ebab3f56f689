"""The policy of a recurrent team: it remembers from call to call, or its caller does."""

import pytest
import torch

from helpers import TINY
from ilvf import Experiment, load_policy
from ilvf.checkpoints.policy import Policy, policy_of_parts, policy_parts
from ilvf.data.rollout import with_memory
from ilvf.experiment.models import signature_of
from ilvf.experiment.pyfunc import PolicyModel
from ilvf.modules import CategoricalActor, DeterministicActor, GaussianActor, GreedyActor
from ilvf.modules.actions import Box
from memory_helpers import AGENTS, HORIZON, Cue

ROWS = 6


def policy_of(recurrent="lstm", kind=CategoricalActor):
    torch.manual_seed(0)
    return Policy(kind(AGENTS, 3, 2, hidden=8, gain=3.0, recurrent=recurrent), {})


@pytest.fixture
def episode():
    """Observations of an episode `[T, B, N, Do]`."""
    torch.manual_seed(1)
    return torch.randn(HORIZON, ROWS, AGENTS, 3)


@pytest.mark.parametrize("kind", [CategoricalActor, GreedyActor])
def test_calls_equal_steps_with_the_state_passed_on(episode, kind):
    policy = policy_of(kind=kind)
    state = None
    apart = []
    for observation in episode:
        action, state = policy.step(observation, state)
        apart.append(action)
    assert policy.state is None  # `step` leaves nothing behind
    together = [policy(observation) for observation in episode]
    assert torch.equal(torch.stack(together), torch.stack(apart))
    assert torch.equal(policy.state, state)
    assert state.shape == (ROWS, AGENTS, 16)


def test_reset_forgets_all_rows_or_some(episode):
    policy = policy_of()
    first = policy(episode[0])
    after = policy.state
    policy(episode[1])
    policy.reset()
    assert torch.equal(policy(episode[0]), first)
    assert torch.equal(policy.state, after)
    ended = torch.arange(ROWS) < 2
    policy.reset(ended)
    assert not policy.state[ended].any()
    assert torch.equal(policy.state[~ended], after[~ended])


def test_states_of_another_batch_are_refused(episode, refused):
    policy = policy_of()
    policy(episode[0])
    with refused("(6, 2, 16)", "(2, 16)", "policy.reset()"):
        policy(episode[0, 0])
    with refused("ended", "(3,)", "(6,)"):
        policy.reset(torch.ones(3, dtype=torch.bool))
    with refused("ended", "need bool"):
        policy.reset(torch.ones(6))
    with refused("ended must be a tensor"):
        policy.reset([True] * 6)
    with refused("the state must be a tensor"):
        policy.step(episode[0], [0.0])
    policy.reset()
    assert policy(episode[0, 0]).shape == (AGENTS,)


def test_a_policy_without_memory_has_no_state(episode, refused):
    policy = policy_of("none")
    actions, state = policy.step(episode[0])
    assert state is None
    assert torch.equal(policy(episode[0]), actions)
    policy.reset()
    assert "recurrent" not in repr(policy)
    assert "recurrent" in repr(policy_of())
    with refused("no memory", "leave out the state"):
        policy.step(episode[0], torch.zeros(ROWS, AGENTS, 8))


def test_observations_that_are_no_numbers_are_refused(refused):
    policy = load_policy("zoo:encircle-10")
    observation = torch.zeros(2, 10, 18)
    observation[1, 3, 5] = float("nan")
    with refused("observations of agents [3]", "NaN"):
        policy(observation)
    with refused("a tensor or an array", "list"):
        policy(observation.tolist())
    assert policy(observation[0].numpy()).shape == (10,)


def test_a_policy_moves_with_its_state(episode):
    policy = policy_of()
    policy(episode[0])
    policy.to(torch.float64)
    assert policy.state.dtype == torch.float64
    assert policy(episode[1].double()).shape == (ROWS, AGENTS)
    assert "state" not in policy.state_dict()


def test_a_policy_acts_as_its_actor_in_an_environment():
    policy = policy_of("gru")
    env = with_memory(Cue(num_envs=ROWS, seed=0), policy.actor)
    rollout = env.rollout(2 * HORIZON, policy.actor, break_when_any_done=False, auto_reset=True)
    greedy = []
    for step in range(2 * HORIZON):
        log_probs = policy.actor.log_probs_of(rollout[:, step])
        assert torch.equal(policy(rollout["agents", "observation"][:, step]), log_probs.argmax(-1))
        policy.reset(rollout["next", "done"][:, step, 0])
        greedy.append(log_probs.argmax(-1))
    assert torch.stack(greedy).unique().numel() == 2


@pytest.mark.parametrize("kind", [GaussianActor, DeterministicActor])
def test_a_policy_of_continuous_actions_survives_its_parts(episode, kind):
    box = Box([[-1.0, 0.0]] * AGENTS, [[2.0, 0.5]] * AGENTS)
    policy = Policy(kind(AGENTS, 3, box, hidden=8, recurrent="gru", gain=1.0), {})
    again = policy_of_parts(policy_parts(policy), "here")
    for observation in episode:
        assert torch.equal(policy(observation), again(observation))


@pytest.mark.parametrize("recurrent", ["none", "gru"])
def test_a_model_of_mlflow_can_be_reset(episode, recurrent):
    policy = policy_of(recurrent)
    model = PolicyModel(policy)
    for observation in episode:
        model.predict({"observation": observation.numpy()})
    before = policy.state
    model.predict({"observation": episode[0, :2].numpy()}, {"reset": True})
    assert (before is None) == (policy.state is None) == (recurrent == "none")
    names = [param.name for param in signature_of(policy.actor.arguments).params.params]
    assert ("reset" in names) == (recurrent == "gru")


@pytest.mark.slow
def test_a_recurrent_run_is_evaluated_and_loaded(out, recipe, capsys):
    words = (*TINY, "algorithm.recurrent=gru", "algorithm.chunk=5", f"out={out}")
    experiment = Experiment("encircle", "ilvf_p", dict(word.split("=") for word in words))
    experiment.run()
    run = experiment.folder
    policy = load_policy(run)
    observation = torch.randn(5, 4, 18)
    assert policy(observation).shape == (5, 4)
    assert policy.state.any()
    assert "return/team" in experiment.evaluate({"algorithm.eval_episodes": 2})
    capsys.readouterr()
    assert recipe("influence", f"checkpoint={run}", "influence.episodes=2") == 0
    assert "nothing is measured by intervention: the team is recurrent" in capsys.readouterr().out
    assert recipe("audit", f"checkpoint={run}") == 2
    assert "is recurrent; the audit starts from states" in capsys.readouterr().err
    resume = ("resume=last", f"out={out}", "trainer.max_epochs=3")
    assert recipe("ilvf_p", *resume) == 0
