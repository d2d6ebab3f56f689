"""Several choices at once: every algorithm that takes them learns a task whose optimum is known.

In `Dials` the best reward is 0, and an untrained policy gets about −0.75.
"""

import pytest
import torch

from algorithm_makers import Makers
from choices_helpers import Dials
from helpers import assert_same_state, checkpointed, fit
from ilvf.algorithms import COMA
from ilvf.algorithms.options import ALGORITHMS
from ilvf.analysis import audit, visited_states
from ilvf.checkpoints.policy import actor_of, arguments_of, load_policy
from ilvf.checkpoints.verify import ACTOR
from ilvf.commands.evaluate import trained_actor
from ilvf.data.evaluation import evaluate
from ilvf.experiment.build import build
from ilvf.experiment.config import resolve
from ilvf.experiment.models import signature_of
from ilvf.experiment.options import training_schema
from ilvf.modules import (
    CounterfactualCritic,
    MultiCategoricalActor,
)

SIZES = (2, 6)  # agents, numbers of an observation and of a state
HIDDEN = dict(hidden=16)
TRAINING = dict(num_envs=16, rollout_steps=8, lr=0.02, gamma=0.5, eval_every=1000)
TRAINING |= dict(epochs=4, minibatches=1)


def several(**options):
    torch.manual_seed(0)
    return MultiCategoricalActor(*SIZES, Dials().actions, **HIDDEN, **options)


# ---------------------------------------------------------------------- algorithms
MAKERS = Makers(Dials, SIZES, HIDDEN, TRAINING)
TAKERS = MAKERS.by_name()
ilvf_p = MAKERS.ilvf_p


def reward_of(actor):
    """Mean reward per agent and step of the deterministic policy."""
    metrics, _ = evaluate(Dials(num_envs=50, seed=1), actor, max_steps=4, seed=1)
    return metrics["reward/agent_step"]


# ---------------------------------------------------------------------- learning
def test_every_algorithm_that_takes_several_choices_is_tested():
    assert {name for name, config in ALGORITHMS.items() if config.several} == {*TAKERS}


@pytest.mark.slow
@pytest.mark.parametrize("make", [*TAKERS.values(), MAKERS.ippo_c])
def test_algorithms_learn(make):
    actor = several()
    assert reward_of(actor) < -0.4
    fit(make(actor), 15)
    assert reward_of(actor) > -0.02


@pytest.mark.slow
def test_a_supervised_attention_and_a_memory_learn():
    actor = several(recurrent="gru")
    fit(ilvf_p(actor, supervision=0.1, chunk=4), 20)
    assert reward_of(actor) > -0.1


def test_the_first_ratio_is_one():
    actor = several()
    module = MAKERS.mappo(actor)
    module.options.epochs = 1
    fit(module, 1)
    assert module.last_metrics["ppo/clip_fraction"] == 0
    assert module.last_metrics["ppo/kl"] == pytest.approx(0, abs=1e-6)


# ---------------------------------------------------------------------- configs
def configured(name, *arguments):
    own = ["env=torchrl", "env.task=choices_helpers:Dials", "algorithm.hidden=8"]
    return build(resolve(training_schema(name), [*own, *arguments]))


@pytest.mark.parametrize("name", TAKERS)
def test_a_config_builds_the_actor_of_the_environment(name):
    actor = configured(name, "env.kwargs.barred=true").loss.actor
    assert type(actor) is MultiCategoricalActor
    assert actor.masked


@pytest.mark.parametrize("name", ["coma", "qmix", "vdn", "maddpg"])
def test_other_algorithms_name_those_that_take_them(name, refused):
    title = "QMIX" if name == "vdn" else ALGORITHMS[name].title
    setting = ["algorithm.mixer=vdn"] if name == "vdn" else []
    algorithm = "qmix" if name == "vdn" else name
    words = f"Dials has actions of 2 choices at once, and {title} needs those of one choice"
    with refused(words, "ilvf_p, no_inferring, ilvf_s, prd, mappo, ippo take several choices"):
        configured(algorithm, *setting)


def test_coma_refuses_the_actor(refused):
    with refused("COMA", "actor", "CategoricalActor"):
        COMA(Dials, several(), CounterfactualCritic(*SIZES, 6, **HIDDEN))


def test_the_signature_of_a_model_has_choices():
    signature = signature_of(arguments_of(several(masked=True)))
    (output,) = signature.outputs.inputs
    assert (output.type.name, output.shape) == ("int64", (-1, 2, 2))
    assert signature.inputs.inputs[1].shape == (-1, 2, 6)


# ---------------------------------------------------------------------- a trained team
def test_a_resumed_run_learns_what_an_uninterrupted_run_learns(tmp_path):
    """Bit for bit; episodes of 4 steps do not end with the rollout of 6."""

    def fitted(iterations, folder, **options):
        module = ilvf_p(several())
        module.options.rollout_steps = 6
        return checkpointed(module, iterations, tmp_path / folder, **options)

    _, whole = fitted(4, "whole")
    path, _ = fitted(2, "half")
    _, resumed = fitted(4, "half", ckpt_path=path)
    assert_same_state(whole, resumed)
    policy = load_policy(path)
    for deterministic in (True, False):
        action = policy(torch.randn(5, 7, 2, 6), deterministic=deterministic)
        assert action.shape == (5, 7, 2, 2)
        assert not Dials().actions.problem(action, "Dials")
    assert type(trained_actor(Dials(), path)) is MultiCategoricalActor


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ([[99_999, 2], [4, 1]], "more than its weights have"),
        ([["x", 2], [4, 1]], "no table of numbers"),
        ({"a": 1}, "counts is"),
        ([[3, 3], [4, 1]], "size mismatch"),
    ],
)
def test_wrong_choices_in_a_checkpoint_are_refused(counts, words, refused):
    actor = several()
    state = {f"{ACTOR}{name}": value for name, value in actor.state_dict().items()}
    saved = {**arguments_of(actor), "counts": counts}
    with refused("actor", words):
        actor_of({"state_dict": state, "ilvf": {"actor": saved}})


def test_an_audit_finds_who_moves_whose_return(refused):
    actor = several(gain=1.0)
    visited = visited_states(Dials(num_envs=16, seed=1), actor)
    env = Dials(num_envs=512)
    found = audit(env, actor, visited, actions=4, repeats=2, choices=4, progress=False)
    assert torch.equal(found.significant, env.influence_graph)
    with refused("alternatives=box is for a Box", "alternatives=policy"):
        audit(env, actor, visited, alternatives="box", progress=False)
