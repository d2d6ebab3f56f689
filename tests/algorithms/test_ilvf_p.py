"""The algorithm as a whole: its first step, its ends, its learning."""

import functools
import logging

import lightning as L
import pytest
import torch

from helpers import bare_trainer
from ilvf.algorithms import ILVFP
from ilvf.credit import Bernoulli, Soft, Threshold
from ilvf.envs import Encircle
from ilvf.modules import CategoricalActor, InfluenceCritic, StateCritic

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
N = 4
SMALL = dict(num_envs=8, rollout_steps=10, epochs=2, minibatches=2, eval_every=100, eval_episodes=2)


class Watch(L.Callback):
    """Keeps what each iteration and each step said."""

    def __init__(self):
        self.steps, self.names, self.metrics = [], [], []

    def on_train_batch_end(self, trainer, module, *_):
        self.steps.append(module._steps[-1].clone())
        self.names = module._step_names

    def on_train_epoch_start(self, trainer, module):
        if module.last_metrics:
            self.metrics.append(module.last_metrics)

    def step(self, k, name):
        return self.steps[k][self.names.index(name)].item()


def fit(module, iterations):
    watch = Watch()
    bare_trainer(iterations, watch).fit(module)
    watch.metrics.append(module.last_metrics)
    return watch


def algorithm(n=N, influence=None, seed=0, hidden=16, horizon=10, **options):
    torch.manual_seed(seed)
    env = Encircle(n)
    actor = CategoricalActor(n, env.observation_dim, env.n_actions, hidden=hidden)
    if influence is None:
        critic = InfluenceCritic(n, env.state_dim, env.n_actions, hidden=hidden)
    else:
        critic = StateCritic(n, env.state_dim, hidden=hidden)
    make = functools.partial(Encircle, n, horizon=horizon)
    return ILVFP(make, actor, critic, influence=influence, seed=seed, **{**SMALL, **options})


def test_the_first_minibatch_has_importance_ratio_one():
    module, ratios = algorithm(lr=0.01), []
    step = module.training_step

    def spy(batch, batch_idx):
        with torch.no_grad():
            ratios.append(
                (module.loss.actor.evaluate(batch)[0] - batch["agents", "action_log_prob"]).exp()
            )
        return step(batch, batch_idx)

    module.training_step = spy
    watch = fit(module, 2)
    for k in (0, 4):  # the first step of both iterations
        assert (ratios[k] - 1).abs().max() < 1e-5
        assert watch.step(k, "clip_fraction") == 0
    assert watch.step(3, "kl") > 1e-5  # and then the policy moves


@pytest.mark.parametrize("kind", ["ones", "identity"])
def test_fixed_ends_are_exact_in_the_running_algorithm(kind):
    influence = torch.ones(N, N) if kind == "ones" else torch.eye(N)
    module = algorithm(influence=influence, normalize="none")
    seen = []
    estimate = module.advantage.forward
    module.advantage.forward = lambda rollout: (estimate(rollout), seen.append(rollout.clone()))
    fit(module, 1)
    own, local = seen[0]["agents", "individual_advantage"], seen[0]["agents", "advantage"]
    if kind == "identity":
        assert torch.equal(local, own)
    else:
        assert torch.allclose(local, own.sum(-2, keepdim=True).expand_as(own), atol=1e-5)


@pytest.mark.parametrize(
    "option",
    [
        dict(discretise=Bernoulli()),
        dict(discretise=Soft()),
        dict(discretise=Threshold(0.499)),
        dict(orientation="attention", discretise=Soft()),
        dict(diagonal=False, discretise=Soft()),
        dict(normalize="none"),
        dict(gamma=0.5),
        dict(lmbda=0.5),
        dict(target="mc"),
        dict(value_norm=False),
        dict(min_variance=100.0),
        dict(clip=0.01),
        dict(max_grad_norm=0.01),
        dict(epochs=1),
        dict(minibatches=1),
        dict(lr=1e-2),
    ],
    ids=str,
)
def test_every_option_turns_something(option):
    def weights(**options):
        module = algorithm(**options)
        fit(module, 2)
        return torch.cat([p.detach().flatten() for p in module.parameters()])

    base = (
        dict(discretise=Soft())
        if isinstance(option.get("discretise"), Soft) and len(option) > 1
        else {}
    )
    assert not torch.equal(weights(**base), weights(**option))


def test_one_draw_per_rollout_or_per_epoch():
    """Two epochs of one minibatch: the second sees the same Ŵ, or another one."""
    for draw, same in (("rollout", True), ("epoch", False)):
        module, seen = algorithm(draw=draw, discretise=Bernoulli(), minibatches=1), []
        step = module.training_step
        module.training_step = lambda b, k, step=step, seen=seen: (
            seen.append(b["agents", "advantage"].clone()),
            step(b, k),
        )[1]
        fit(module, 1)
        assert torch.equal(seen[0], seen[1]) == same


def test_monte_carlo_targets_are_discounted_returns():
    """γ = 0.5, one episode of 10 steps per rollout, bootstrapped at the truncation: G_t = r_t + 0.5 G_{t+1}."""
    module = algorithm(target="mc", gamma=0.5)
    seen = []
    estimate = module.advantage.forward
    module.advantage.forward = lambda rollout: (estimate(rollout), seen.append(rollout.clone()))
    fit(module, 1)
    reward, target = seen[0]["next", "agents", "reward"], seen[0]["agents", "value_target"]
    expected = seen[0]["next", "agents", "state_value"][:, -1]
    for t in reversed(range(10)):
        expected = reward[:, t] + 0.5 * expected
        assert torch.allclose(target[:, t], expected, atol=1e-4)


def test_metrics_of_an_iteration():
    watch = fit(algorithm(), 2)
    metrics = watch.metrics[-1]
    assert metrics["frames"] == 2 * 8 * 10
    assert 0 <= metrics["influence/density"] <= 1
    assert 0 <= metrics["attention/auroc_reward"] <= 1
    assert metrics["return/team"] == pytest.approx(metrics["reward/agent_step"] * 10 * N, rel=1e-4)
    assert "eval/return/team" in metrics  # the last iteration is always evaluated
    assert "eval/return/team" not in watch.metrics[0]


def test_evaluation_does_not_disturb_training():
    ends = []
    for every in (1, 100):
        module = algorithm(eval_every=every)
        fit(module, 3)
        ends.append(torch.cat([p.detach().flatten() for p in module.parameters()]))
    assert torch.equal(*ends)


def test_a_nan_stops_the_run(refused):
    module = algorithm()
    module.make_env = functools.partial(Poisoned, N, horizon=10)
    with refused("loss_", "nan", "optimiser step 5", "iteration 2", "last good checkpoint"):
        fit(module, 5)


class Poisoned(Encircle):
    """Its rewards become NaN in the second iteration."""

    def reward(self, world):
        self.calls = getattr(self, "calls", 0) + 1
        return super().reward(world) * (float("nan") if self.calls > 12 else 1.0)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (dict(lr=-1.0), ("lr=-1", "positive")),
        (dict(epochs=0), ("epochs=0",)),
        (dict(minibatches=1000), ("minibatches=1000", "80 frames")),
        (dict(gamma=1.5), ("gamma=1.5",)),
        (dict(target="td"), ("target='td'", "lambda")),
        (dict(draw="step"), ("draw='step'", "epoch")),
        (dict(eval_every=0), ("eval_every=0",)),
    ],
)
def test_bad_arguments(option, words, refused):
    with refused(*words):
        algorithm(**option)


def test_it_learns_to_encircle_and_finds_the_coupling():
    """Eight agents, 24 iterations: the reward rises well above the start; the attention finds the reward graph."""
    module = algorithm(
        n=8, hidden=32, horizon=25, num_envs=32, rollout_steps=25, epochs=5, minibatches=4, lr=2e-3
    )
    metrics = fit(module, 24).metrics
    start, end = metrics[0]["reward/agent_step"], metrics[-1]["reward/agent_step"]
    assert start < -2
    assert end > 0.6 * start  # negative: at least 40 % of the cost is gone
    assert metrics[-1]["value/explained_variance"] > 0.8
    assert metrics[0]["attention/auroc_reward"] < 0.7  # chance is 0.5
    assert metrics[-1]["attention/auroc_reward"] > 0.85


def test_the_learning_rate_falls_in_a_straight_line():
    module, seen = algorithm(lr=0.01, lr_end=0.002), []
    step = module.training_step
    module.training_step = lambda *a: (
        seen.append(module.trainer.optimizers[0].param_groups[0]["lr"]),
        step(*a),
    )[1]
    fit(module, 5)
    assert seen[::4] == pytest.approx([0.01, 0.008, 0.006, 0.004, 0.002])
