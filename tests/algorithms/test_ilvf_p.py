"""ILVF-P as an algorithm: its first steps, its credit, its metrics, its learning."""

import functools
import math

import lightning as L
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from torch.amp import GradScaler

from helpers import fit, parameters_of
from ilvf.algorithms import ILVFP
from ilvf.credit import Bernoulli
from ilvf.envs import Encircle
from ilvf.modules import CategoricalActor, InfluenceCritic, StateCritic

N = 4  # agents
QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}
SMALL = {
    "num_envs": 8,
    "rollout_steps": 10,
    "epochs": 2,
    "minibatches": 2,
    "eval_every": 100,
    "eval_episodes": 2,
}


class Watch(L.Callback):
    """Loss terms and learning rate of every optimiser step, and metrics of every iteration."""

    def __init__(self):
        self.steps = []
        self.rates = []
        self.metrics = []

    def on_fit_start(self, trainer, module):
        module.loss.register_forward_hook(lambda loss, batch, terms: self.steps.append(terms))

    def on_train_batch_end(self, trainer, *_):
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_epoch_start(self, trainer, module):
        if module.last_metrics:
            self.metrics.append(module.last_metrics)

    def on_fit_end(self, trainer, module):
        self.metrics.append(module.last_metrics)


def watched_fit(module, iterations):
    """Train `module` under a `Watch`; returns it."""
    watch = Watch()
    fit(module, iterations, watch)
    return watch


def algorithm(n_agents=N, influence=None, hidden=16, horizon=10, **options):
    """A small ILVF-P with weights of seed 0."""
    torch.manual_seed(0)
    env = Encircle(n_agents)
    actor = CategoricalActor(n_agents, env.observation_dim, env.n_actions, hidden=hidden)
    if influence is None:
        critic = InfluenceCritic(n_agents, env.state_dim, env.n_actions, hidden=hidden)
    else:
        critic = StateCritic(n_agents, env.state_dim, hidden=hidden)
    make_env = functools.partial(Encircle, n_agents, horizon=horizon)
    return ILVFP(make_env, actor, critic, influence=influence, **{**SMALL, **options})


def first_rollout(module):
    """The first rollout of a training of one iteration, with its credit."""
    rollouts = []
    module.advantage.register_forward_hook(lambda _, args, out: rollouts.append(args[0].clone()))
    fit(module, 1)
    return rollouts[0]


# ---------------------------------------------------------------------- minibatches
def test_the_first_minibatch_of_an_iteration_has_importance_ratios_of_one():
    module = algorithm(lr=0.01)
    ratios = []

    @torch.no_grad()
    def remember_ratio(loss, inputs):
        (batch,) = inputs
        log_prob, _ = loss.actor.evaluate(batch)
        ratios.append((log_prob - batch["agents", "action_log_prob"]).exp())

    module.loss.register_forward_pre_hook(remember_ratio)
    steps = watched_fit(module, 2).steps
    for first in (0, 4):
        assert (ratios[first] - 1).abs().max() < 1e-5
        assert steps[first]["clip_fraction"] == 0
    assert steps[3]["kl"] > 1e-5  # the policy has moved


@pytest.mark.parametrize(("draw", "same"), [("rollout", True), ("epoch", False)])
def test_the_influence_is_drawn_per_rollout_or_per_epoch(draw, same):
    """With one minibatch an epoch, the second step has the first one's advantages or new ones."""
    module = algorithm(draw=draw, discretise=Bernoulli(), minibatches=1)
    advantages = []

    def remember_advantage(loss, inputs):
        advantages.append(inputs[0]["agents", "advantage"].clone())

    module.loss.register_forward_pre_hook(remember_advantage)
    fit(module, 1)
    assert torch.equal(*advantages) == same


def test_the_learning_rate_falls_in_a_straight_line():
    rates = watched_fit(algorithm(lr=0.01, lr_end=0.002), 5).rates
    assert rates[::4] == pytest.approx([0.01, 0.008, 0.006, 0.004, 0.002])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_epochs": -1}, ("lr_end=0.0", "max_epochs")),
        ({"max_epochs": 2, "accumulate_grad_batches": 2}, ("accumulate_grad_batches=2",)),
        (
            {"max_epochs": 2, "gradient_clip_val": 1.0, "gradient_clip_algorithm": "value"},
            ("gradient_clip_algorithm=value", "by norm"),
        ),
        (
            {"max_epochs": 2, "plugins": MixedPrecision("16-mixed", "cpu", GradScaler("cpu"))},
            ("precision=16-mixed", "bf16-mixed"),
        ),
    ],
)
def test_a_trainer_that_asks_for_something_else_is_refused(options, words, refused):
    with refused(*words):
        L.Trainer(**options, **QUIET).fit(algorithm(lr_end=0.0))


@pytest.mark.parametrize(("limit", "norm"), [(1e-3, 1e-3), (0, math.inf), (None, 40.0)])
def test_the_trainers_limit_of_the_gradient_counts(limit, norm, monkeypatch):
    """Without one it is that of the options, 10, times the number of agents."""
    clip = torch.nn.utils.clip_grad_norm_
    limits = []

    def clipped(parameters, most):
        limits.append(most)
        return clip(parameters, most)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", clipped)
    L.Trainer(max_epochs=1, gradient_clip_val=limit, **QUIET).fit(algorithm(max_grad_norm=10.0))
    assert set(limits) == {norm}


# ---------------------------------------------------------------------- credit
def test_an_identity_influence_gives_individual_advantages():
    rollout = first_rollout(algorithm(influence=torch.eye(N), normalize="none"))
    assert torch.equal(rollout["agents", "advantage"], rollout["agents", "individual_advantage"])


def test_an_influence_of_ones_gives_the_summed_advantage():
    rollout = first_rollout(algorithm(influence=torch.ones(N, N), normalize="none"))
    individual = rollout["agents", "individual_advantage"]
    team = individual.sum(-2, keepdim=True).expand_as(individual)
    assert torch.allclose(rollout["agents", "advantage"], team, atol=1e-5)


def test_monte_carlo_targets_are_discounted_returns():
    """G_t = r_t + 0.5 G_{t+1}, bootstrapped at the truncation after 10 steps."""
    rollout = first_rollout(algorithm(target="mc", gamma=0.5))
    reward = rollout["next", "agents", "reward"]
    expected = rollout["next", "agents", "state_value"][:, -1]
    for t in reversed(range(10)):
        expected = reward[:, t] + 0.5 * expected
        assert torch.allclose(rollout["agents", "value_target"][:, t], expected, atol=1e-4)


# ---------------------------------------------------------------------- metrics
def test_metrics_of_an_iteration():
    first, last = watched_fit(algorithm(), 2).metrics
    assert last["frames"] == 2 * 8 * 10
    assert 0 <= last["influence/density"] <= 1
    assert 0 <= last["attention/auroc_reward"] <= 1
    assert last["return/team"] == pytest.approx(last["reward/agent_step"] * 10 * N, rel=1e-4)
    assert "eval/return/team" in last  # the last iteration is always evaluated
    assert "eval/return/team" not in first


def test_evaluation_does_not_change_the_learning():
    ends = [parameters_of(fit(algorithm(eval_every=every), 3)) for every in (1, 100)]
    assert torch.equal(*ends)


# ---------------------------------------------------------------------- errors
class Poisoned(Encircle):
    """Its rewards become NaN in the second iteration."""

    def reward(self, world):
        self.calls = getattr(self, "calls", 0) + 1
        factor = float("nan") if self.calls > 12 else 1.0
        return super().reward(world) * factor


def test_a_nan_reward_stops_the_run(refused):
    module = algorithm()
    module.make_env = functools.partial(Poisoned, N, horizon=10)
    with refused("('next', 'agents', 'reward')", "NaN", "correct the environment's rewards"):
        fit(module, 5)


def test_a_loss_that_explodes_stops_the_run(refused):
    module = algorithm(lr=1e30)
    with refused("loss_", "optimiser step 2", "iteration 1", "last good checkpoint", "smaller lr"):
        fit(module, 5)


def test_a_stopped_run_leaves_nothing_for_the_next_one(refused):
    module = algorithm(lr=1e30)
    weights = {name: value.clone() for name, value in module.state_dict().items()}
    with refused("loss_"):
        fit(module, 1)
    module.load_state_dict(weights)
    module.options.lr = 0.001
    fit(module, 1)
    assert all(math.isfinite(value) for value in module.last_metrics.values())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lr": -1.0}, ("lr=-1", "positive")),
        ({"epochs": 0}, ("epochs=0",)),
        ({"minibatches": 1000}, ("minibatches=1000", "80 frames")),
        ({"gamma": 1.5}, ("gamma=1.5",)),
        ({"target": "td"}, ("target='td'", "lambda")),
        ({"draw": "step"}, ("draw='step'", "epoch")),
        ({"eval_every": 0}, ("eval_every=0",)),
    ],
)
def test_bad_arguments(options, words, refused):
    with refused(*words):
        algorithm(**options)


# ---------------------------------------------------------------------- learning
@pytest.mark.slow
def test_it_learns_to_encircle_and_finds_who_influences_whom():
    """Eight agents, 24 iterations: the cost falls, and the attention finds the reward graph.

    With seeds 0 to 4 the cost ends at 40 to 56 % of that of the start; an untrained attention has
    an AUROC of 0.5.
    """
    training = {"num_envs": 32, "rollout_steps": 25, "epochs": 5, "minibatches": 4, "lr": 2e-3}
    module = algorithm(n_agents=8, hidden=32, horizon=25, **training)
    metrics = watched_fit(module, 24).metrics
    start = metrics[0]["reward/agent_step"]
    end = metrics[-1]["reward/agent_step"]
    assert start < -2
    assert end > 0.6 * start  # rewards are negative: at least 40 % of the cost is gone
    assert metrics[-1]["value/explained_variance"] > 0.8
    assert metrics[0]["attention/auroc_reward"] < 0.7
    assert metrics[-1]["attention/auroc_reward"] > 0.85
