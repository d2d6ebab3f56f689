"""Losses and steps of environments do not wait for the device: nothing reads its numbers."""

import pytest
import torch

from host_reads import imitate_gpu, reads_of
from ilvf.algorithms.options import ALGORITHMS
from ilvf.envs import make_env
from ilvf.experiment.build import build
from ilvf.experiment.config import resolve
from ilvf.experiment.options import training_schema
from ilvf.losses import ActionValueLoss

SMALL = ("env.n_agents=4", "env.horizon=10", "algorithm.hidden=8")
WITH_TERMS = ("ilvf_p", "algorithm.sparsity=0.1", "algorithm.supervision=0.1")


@pytest.fixture(autouse=True)
def like_a_gpu(monkeypatch):
    imitate_gpu(monkeypatch)


@pytest.mark.parametrize("dying", [False, True])
@pytest.mark.parametrize("case", [*((name,) for name in ALGORITHMS), WITH_TERMS], ids=" ".join)
def test_a_loss_and_its_gradient_read_nothing(case, dying):
    module = small_module(*case)
    assert reads_of(descend, module.loss, batch_of(module, dying)) == 0


@pytest.mark.parametrize("dying", [False, True])
def test_the_action_value_loss_reads_nothing(dying):
    module = small_module("ilvf_p")
    loss = ActionValueLoss(module.loss.critic)
    assert reads_of(descend, loss, batch_of(module, dying)) == 0


def small_module(name, *arguments):
    return build(resolve(training_schema(name), [*SMALL, *arguments]))


def descend(loss, batch):
    """The loss, and the gradient of the sum of its terms."""
    terms = loss(batch)
    sum(value for key, value in terms.items() if key.startswith("loss_")).backward()


def batch_of(module, dying):
    """A flat batch of random play; with `dying`, some agents are dead."""
    torch.manual_seed(0)
    env = module.make_env(num_envs=3, seed=0, device="cpu")
    with torch.no_grad():
        rollout = env.rollout(4, module.loss.actor)
        if dying:
            for key in ("agents", ("next", "agents")):
                rollout[key]["mask"] = torch.rand(3, 4, env.n_agents) < 0.7
        if hasattr(module, "advantage"):
            module.advantage(rollout)
            module.loss.value_norm.update(rollout["agents", "value_target"])
    return rollout.reshape(-1)


STEPPED = {
    "encircle": ("encircle", {"n_agents": 4}),
    "encircle with obstacles": ("encircle", {"n_agents": 4, "n_obstacles": 2}),
    "capture_prey": ("capture_prey", {}),
    "cacc": ("cacc", {"n_agents": 4}),
    "tabular": ("tabular", {}),
}


@pytest.mark.parametrize("case", STEPPED)
def test_a_step_of_an_environment_reads_nothing(case):
    name, options = STEPPED[case]
    env = make_env(name, num_envs=3, seed=0, **options)
    td = env.rand_action(env.reset())
    assert reads_of(env.step, td) == 0


def test_a_reset_without_obstacles_reads_nothing():
    env = make_env("encircle", num_envs=3, n_agents=4, seed=0)
    assert reads_of(env.initial) == 0
    assert reads_of(make_env("encircle", n_agents=4, n_obstacles=2, seed=0).initial) > 0
