"""QMIX, VDN and MADDPG as algorithms: targets, warm-up, exploration, errors."""

import functools

import lightning as L
import pytest
import torch

from helpers import fit
from ilvf.algorithms import MADDPG, QMIX
from ilvf.envs import Encircle
from ilvf.modules import CategoricalActor, GreedyActor, JointCritic, Mixer

SMALL = {
    "num_envs": 4,
    "rollout_steps": 5,
    "updates": 2,
    "batch_size": 16,
    "warmup": 20,
    "eval_every": 100,
    "eval_episodes": 2,
}


def algorithm(kind, **options):
    """A tiny "qmix", "vdn" or "maddpg" with weights of seed 0; a rollout has 20 frames."""
    torch.manual_seed(0)
    env = Encircle(4)
    make_env = functools.partial(Encircle, 4, horizon=10)
    sizes = (4, env.observation_dim, env.n_actions)
    options = {**SMALL, **options}
    if kind == "maddpg":
        actor = CategoricalActor(*sizes, hidden=8)
        critic = JointCritic(4, env.state_dim, env.n_actions, hidden=8)
        return MADDPG(make_env, actor, critic, **options)
    return QMIX(make_env, GreedyActor(*sizes, hidden=8), Mixer(kind, 4, env.state_dim), **options)


class LastTargetStep(L.Callback):
    """Parameters around the last optimiser step: target before it, and what the target follows."""

    def on_train_batch_start(self, trainer, module, *_):
        self.before = [p.clone() for p in module.loss.target_actor.parameters()]

    def on_train_batch_end(self, trainer, module, *_):  # runs before the module's own hook
        self.source = [p.clone() for p in module.loss.actor.parameters()]

    def assert_followed(self, target, tau):
        """θ̄ = (1 − τ) θ̄_before + τ θ"""
        moments = zip(self.before, self.source, target.parameters(), strict=True)
        for before, source, after in moments:
            assert torch.allclose(after, before + tau * (source - before), atol=1e-7)
            assert not torch.equal(before, source)


@pytest.mark.parametrize("kind", ["qmix", "maddpg"])
@pytest.mark.parametrize(
    ("options", "tau"),
    [({"tau": 0.25}, 0.25), ({"target_every": 2}, 1.0), ({"target_every": 3}, 0)],
)
def test_targets_follow_after_the_last_of_four_optimiser_steps(kind, options, tau):
    watch = LastTargetStep()
    module = fit(algorithm(kind, lr=0.01, **options), 2, watch)
    watch.assert_followed(module.loss.target_actor, tau)


def test_random_warm_up_comes_first_and_its_frames_count():
    """50 frames of warm-up are three random rollouts of 20; two rollouts of the policy follow."""
    module = algorithm("qmix", warmup=50)
    behaviour = module.behaviour
    random_steps = []

    def watched_behaviour():
        explorer = behaviour()
        explorer.register_forward_pre_hook(lambda policy, _: random_steps.append(policy.random))
        return explorer

    module.behaviour = watched_behaviour
    fit(module, 2)
    assert random_steps == [True] * 15 + [False] * 10  # 5 steps a rollout
    assert module.frames == 100
    assert module.last_metrics["frames"] == 100


def test_epsilon_falls_with_the_number_of_frames():
    """The second rollout of the policy begins after 40 frames, half of the schedule."""
    module = fit(algorithm("qmix", epsilon_end=0.2, epsilon_frames=80, warmup=20), 2)
    assert module.last_metrics["explore/epsilon"] == pytest.approx(1 - 0.8 * 40 / 80)


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("qmix", {"updates": 0}, ("updates=0",)),
        ("qmix", {"capacity": 5}, ("capacity=5", "20")),
        ("qmix", {"tau": 0.0}, ("tau=0",)),
        ("qmix", {"target_every": 0}, ("target_every=0",)),
        ("qmix", {"warmup": -1}, ("warmup=-1",)),
        ("qmix", {"epsilon_end": 2.0}, ("epsilon_end=2",)),
        ("qmix", {"gamma": 2.0}, ("gamma=2",)),
        ("qmix", {"huber_delta": 0.0}, ("huber_delta=0",)),
        ("maddpg", {"temperature": 0.0}, ("temperature=0", "positive")),
        ("maddpg", {"actor_lr": -1.0}, ("actor_lr=-1",)),
    ],
)
def test_bad_arguments(kind, options, words, refused):
    with refused(*words):
        algorithm(kind, **options)
