"""Teams that read sets of entities by an attention: what they learn, checkpoints, memories."""

import pytest
import torch

from helpers import assert_same_state, checkpointed, fit
from ilvf.checkpoints.policy import load_policy
from ilvf.data.evaluation import evaluate
from ilvf.experiment.build import build
from ilvf.experiment.config import resolve
from ilvf.experiment.options import training_schema
from set_helpers import Nearest

ON_POLICY = ("rollout_steps=8", "epochs=4", "minibatches=1")
LEARNS = (*ON_POLICY, "num_envs=32", "hidden=32", "lr=0.01", "gamma=0")
TINY = (
    "num_envs=4",
    "eval_episodes=2",
    "hidden=8",
    "heads=2",
    "embedding=4",
    "recurrent=gru",
    "chunk=4",
)
REPLAYS = ("rollout_steps=8", "updates=2", "warmup=0", "batch_size=16")


def team(name, *arguments, env="env.task=set_helpers:Nearest env=torchrl"):
    """An algorithm that reads sets by an attention."""
    options = [f"algorithm.{a}" for a in (*arguments, "eval_every=1000")]
    if not any(a.startswith("sets=") for a in arguments):
        options.append("algorithm.sets=attention")
    torch.manual_seed(0)
    return build(resolve(training_schema(name), [*env.split(), *options]))


def share_of_right_actions(module):
    env = Nearest(num_envs=200, seed=1)
    metrics, _ = evaluate(env, module.loss.actor, max_steps=4, seed=1)
    return metrics["reward/agent_step"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ilvf_p", "ippo"])
def test_a_team_learns_what_flat_numbers_do_not_teach(name):
    """Random actions are right in 1/5 of the steps, and the answer 4 in 1/6."""
    assert share_of_right_actions(fit(team(name, *LEARNS), 50)) > 0.75
    assert share_of_right_actions(fit(team(name, *LEARNS, "sets=flat"), 50)) < 0.6


@pytest.mark.parametrize(("name", "sizes"), [("ilvf_p", ON_POLICY), ("qmix", REPLAYS)])
def test_a_resumed_recurrent_run_learns_the_same_and_its_policy_acts_alike(name, sizes, tmp_path):
    """Its policy also acts alike in whatever order the entities are."""
    _, whole = checkpointed(team(name, *TINY, *sizes), 2, tmp_path / "whole")
    path, _ = checkpointed(team(name, *TINY, *sizes), 1, tmp_path / "half")
    _, resumed = checkpointed(team(name, *TINY, *sizes), 2, tmp_path / "half", ckpt_path=path)
    assert_same_state(whole, resumed)
    policy = load_policy(path)
    assert policy.actor.read.sets[0].heads == 2
    seen = Nearest(num_envs=50, seed=0).reset()["agents", "observation"]
    places = seen[..., 6:].unflatten(-1, (5, 2)).flip(-2).flatten(-2)
    mirrored = torch.cat([seen[..., :1], seen[..., 1:6].flip(-1), places], -1)
    action = policy(seen)
    policy.reset()
    assert torch.equal(policy(mirrored), action)


def test_a_team_of_gymnasium_is_trained():
    words = "env=gymnasium env.task=set_helpers:Crowd-v0 env.entities=5"
    module = fit(team("ippo", *ON_POLICY, "num_envs=2", "hidden=8", env=words), 1)
    assert module.loss.actor.read.sets[0].entities == 5
