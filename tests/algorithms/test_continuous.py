"""Continuous actions: every algorithm that takes them learns a task whose optimum is known.

In `Aim` the best reward is 0, and an untrained policy gets about −0.27. After these iterations the
deterministic policy got −0.002 to −0.02. A scale that depends on the state needs a smaller lr.
"""

import copy

import pytest
import torch
from tensordict import TensorDict

from algorithm_makers import Makers
from continuous_helpers import Aim
from helpers import assert_same_state, checkpointed, fit
from ilvf.algorithms import MADDPG
from ilvf.algorithms.options import ALGORITHMS
from ilvf.checkpoints.policy import arguments_of, load_policy
from ilvf.data.evaluation import evaluate
from ilvf.experiment.build import build
from ilvf.experiment.config import resolve
from ilvf.experiment.models import signature_of
from ilvf.experiment.options import training_schema
from ilvf.losses import MADDPGLoss
from ilvf.modules import (
    DeterministicActor,
    GaussianActor,
    JointCritic,
)

SIZES = (2, 2)  # agents, numbers of an observation and of a state
HIDDEN = dict(hidden=16)
TRAINING = dict(num_envs=16, rollout_steps=8, lr=0.02, gamma=0.5, eval_every=1000, eval_episodes=50)
ON_POLICY = {**TRAINING, "epochs": 4, "minibatches": 1}
REPLAY = {
    **TRAINING,
    "lr": 0.01,
    "updates": 20,
    "batch_size": 64,
    "capacity": 4000,
    "warmup": 256,
    "tau": 0.05,
    "noise_frames": 1000,
}


# ---------------------------------------------------------------------- algorithms
MAKERS = Makers(Aim, SIZES, HIDDEN, ON_POLICY)
ONE_POLICY = MAKERS.by_name()
ilvf_p = MAKERS.ilvf_p


def maddpg(actor, **options):
    critic = JointCritic(*SIZES, actor.actions, gain=0.01, **HIDDEN)
    return MADDPG(Aim, actor, critic, **{**REPLAY, **options})


POLICIES = {
    "normal": {},
    "normal, state": dict(scale="state"),
    "tanh_normal": dict(distribution="tanh_normal"),
}


def gaussian(**options):
    torch.manual_seed(0)
    return GaussianActor(*SIZES, Aim().actions, **HIDDEN, **options)


def deterministic():
    torch.manual_seed(0)
    return DeterministicActor(*SIZES, Aim().actions, **HIDDEN)


def reward_of(actor):
    """Mean reward per agent and step of the deterministic policy."""
    metrics, _ = evaluate(Aim(num_envs=50, seed=1), actor, max_steps=4, seed=1)
    return metrics["reward/agent_step"]


# ---------------------------------------------------------------------- learning
def test_every_algorithm_that_takes_a_box_is_tested():
    takers = {name for name, config in ALGORITHMS.items() if config.continuous}
    assert takers == {*ONE_POLICY, "maddpg"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "policy"),
    [
        *((name, "normal") for name in ONE_POLICY),
        ("ilvf_s", "normal, state"),
        ("ilvf_s", "tanh_normal"),
        ("mappo", "normal, state"),
        ("mappo", "tanh_normal"),
    ],
)
def test_on_policy_algorithms_learn(name, policy):
    actor = gaussian(**POLICIES[policy])
    assert reward_of(actor) < -0.2
    module = ONE_POLICY[name](actor)
    slower = policy == "normal, state"
    if slower:
        module.options.lr = 0.007
    fit(module, 40 if slower else 15)
    assert reward_of(actor) > -0.05


@pytest.mark.slow
@pytest.mark.parametrize("noise", ["gaussian", "ou"])
def test_maddpg_learns(noise):
    actor = deterministic()
    assert reward_of(actor) < -0.2
    module = fit(maddpg(actor, noise=noise), 8)
    assert reward_of(actor) > -0.05
    assert 0.1 <= module.last_metrics["explore/noise"] < 0.5
    assert "td/entropy" not in module.last_metrics


# ---------------------------------------------------------------------- what is computed
def test_the_first_ratio_is_one():
    """Before the first step the policy is the one that collected, also where actions are cut."""
    for options in POLICIES.values():
        actor = gaussian(initial_scale=3.0, **options)
        module = MAKERS.mappo(actor)
        module.options.epochs = 1
        fit(module, 1)
        assert module.last_metrics["ppo/clip_fraction"] == 0
        assert module.last_metrics["ppo/kl"] == pytest.approx(0, abs=1e-6)


def test_the_rollout_has_actions_in_units_of_the_environment():
    seen = []
    module = ilvf_p(gaussian())
    estimate = module.advantage
    module.__dict__["advantage"] = Seen(estimate, seen)
    fit(module, 1)
    (rollout,) = seen
    action = rollout["agents", "action"]
    assert not Aim().actions.problem(action, "Aim")
    assert action[..., 1, 0].mean() > 3  # of 0 to 10


class Seen:
    """An advantage estimator that keeps each rollout."""

    def __init__(self, estimate, seen):
        self.estimate = estimate
        self.seen = seen

    def __call__(self, rollout):
        self.seen.append(rollout.clone())
        return self.estimate(rollout)

    def __getattr__(self, name):
        return getattr(self.estimate, name)


def test_a_deterministic_actor_follows_its_critic():
    """Q_i = −(u_i − ½)²: one step of the actor moves u_i towards ½."""

    class Half(JointCritic):
        def forward(self, state, action):
            own = action.unflatten(-1, (2, 2))
            if action.ndim == 2:
                own = own.unsqueeze(0).expand(2, -1, -1, -1)
            mine = own[torch.arange(2), :, torch.arange(2)]  # [N, B, A]
            return (
                -(mine - 0.5).square().sum(-1).T.unsqueeze(-1)
                + 0 * self.net(torch.zeros(2, 1, 8)).sum()
            )

    actor = deterministic()
    loss = MADDPGLoss(actor, Half(*SIZES, actor.actions, **HIDDEN), normalize_values=False)
    now = {"observation": torch.randn(6, 2, 2), "state": torch.randn(6, 2, 2)}
    later = {**copy.deepcopy(now), "reward": torch.zeros(6, 2, 1)}
    flags = torch.zeros(6, 1, dtype=torch.bool)
    td = TensorDict({"agents": now, "next": {"agents": later, "terminated": flags}}, [6])
    td["agents", "action"] = actor.actions.random(td["agents", "observation"])
    before = (actor.vectors(td) - 0.5).square()
    loss(td)["loss_actor"].backward()
    with torch.no_grad():
        for parameter in actor.parameters():
            parameter -= 0.01 * parameter.grad
    after = (actor.vectors(td) - 0.5).square()
    free = actor.actions.free
    assert (after < before)[..., free].float().mean() > 0.9


# ---------------------------------------------------------------------- configs
def configured(name, *arguments):
    tiny = ["env.n_agents=4", "env.horizon=5", "algorithm.hidden=8", *arguments]
    return build(resolve(training_schema(name), tiny))


@pytest.mark.parametrize("name", ["coma", "qmix"])
def test_other_algorithms_name_those_that_take_a_box(name, refused):
    words = f"{ALGORITHMS[name].title} needs discrete ones; ilvf_p, no_inferring, ilvf_s, prd"
    with refused("Encircle has continuous actions of 2 numbers", words, "maddpg"):
        configured(name, "env.continuous=true")


@pytest.mark.parametrize("name", [*ONE_POLICY, "maddpg"])
def test_a_config_builds_the_actor_of_the_environment(name):
    continuous = configured(name, "env.continuous=true").loss.actor
    kind = DeterministicActor if name == "maddpg" else GaussianActor
    assert type(continuous) is kind
    assert continuous.arguments["high"] == [[5.0, 5.0]] * 4


@pytest.mark.parametrize(
    ("name", "option"), [("mappo", "distribution=tanh_normal"), ("maddpg", "noise=ou")]
)
def test_options_of_continuous_actions_are_refused_where_they_do_nothing(name, option, refused):
    with refused(f"algorithm.{option.split('=')[0]}=", "is for continuous actions", "Encircle"):
        configured(name, f"algorithm.{option}")


@pytest.mark.parametrize("actor", [gaussian, deterministic])
def test_the_signature_of_a_model_has_numbers_for_actions(actor):
    (output,) = signature_of(arguments_of(actor())).outputs.inputs
    assert (output.type.name, output.shape) == ("float32", (-1, 2, 2))


# ---------------------------------------------------------------------- resuming
@pytest.mark.parametrize(
    ("make", "actor"),
    [
        (ilvf_p, gaussian),
        (MAKERS.ilvf_s, lambda: gaussian(distribution="tanh_normal")),
        (maddpg, deterministic),
        (lambda actor: maddpg(actor, noise="ou"), deterministic),
    ],
    ids=["ilvf_p", "ilvf_s, tanh_normal", "maddpg", "maddpg, ou"],
)
@pytest.mark.slow
def test_a_resumed_run_learns_what_an_uninterrupted_run_learns(make, actor, tmp_path):
    """Bit for bit; episodes of 4 steps do not end with the rollout of 6."""

    def fitted(iterations, folder, **options):
        torch.manual_seed(0)
        module = make(actor())
        module.options.rollout_steps = 6
        if hasattr(module, "rows"):
            module.rows = 6 * module.options.num_envs
        return checkpointed(module, iterations, tmp_path / folder, **options)

    _, whole = fitted(4, "whole")
    path, _ = fitted(2, "half")
    _, resumed = fitted(4, "half", ckpt_path=path)
    policy = load_policy(path)
    for deterministic in (True, False):
        action = policy(torch.randn(5, 7, 2, 2), deterministic=deterministic)
        assert action.shape == (5, 7, 2, 2)
        assert not Aim().actions.problem(action, "Aim")
    assert_same_state(whole, resumed)
    assert whole.last_metrics["reward/agent_step"] == resumed.last_metrics["reward/agent_step"]
