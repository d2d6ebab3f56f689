"""Every option of every algorithm has an effect, which is asserted with and without the option."""

import functools
from dataclasses import fields
from typing import NamedTuple

import pytest
import torch
from lightning.pytorch import Callback

from helpers import bare_trainer
from ilvf.algorithms.evaluating import EvaluationCallback
from ilvf.algorithms.options import ALGORITHMS
from ilvf.experiment.build import build
from ilvf.experiment.config import resolve
from ilvf.experiment.options import TrainerOptions, training_schema
from ilvf.modules import CentralCritic, InfluenceCritic, StateCritic

ITERATIONS = 2
SMALL = {
    "env.n_agents": 4,
    "env.horizon": 10,
    "algorithm.num_envs": 4,
    "algorithm.rollout_steps": 10,
    "algorithm.hidden": 8,
    "algorithm.lr": 0.03,
    "algorithm.eval_episodes": 3,
    "algorithm.eval_every": 100,
}
ON_POLICY = {"algorithm.epochs": 2, "algorithm.minibatches": 2}
OFF_POLICY = {"algorithm.updates": 4, "algorithm.batch_size": 16, "algorithm.warmup": 100}


class Effect(NamedTuple):
    """An option set to `text` makes `observe(run)` equal `expected`; without it, it does not."""

    text: str
    observe: object
    expected: object
    under: tuple[str, ...] = ()


class Run(EvaluationCallback, Callback):
    """A tiny run, trained when an observation asks for `run.trained`, and what was seen of it."""

    def __init__(self, module):
        self.module = module
        self.credit = getattr(module, "advantage", None)
        self.rollout = None
        self.batch_sizes = []
        self.rates = []
        self.norms = []
        self.evaluations = []

    @functools.cached_property
    def trained(self):
        """This run after two iterations."""
        if self.credit is not None:
            self.module.__dict__["advantage"] = Watched(self.credit, self)
        bare_trainer(ITERATIONS, self).fit(self.module)
        return self

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        groups = trainer.optimizers[0].param_groups
        self.batch_sizes.append(len(batch))
        self.rates.append({group["name"]: group["lr"] for group in groups})
        self.eps = groups[0]["eps"]
        gradients = [p.grad.norm() for p in module.parameters() if p.grad is not None]
        self.norms.append(torch.stack(gradients).norm().item())

    def on_evaluation(self, trainer, module, env, rollout):
        self.evaluations.append(rollout)

    def __getitem__(self, key):
        rollout = self.trained.rollout
        return rollout[key] if isinstance(key, tuple) else rollout["agents", key]


class Watched:
    """An advantage estimator that gives its run a copy of each rollout."""

    def __init__(self, credit, run):
        self.credit = credit
        self.run = run

    def __call__(self, rollout):
        self.credit(rollout)
        self.run.rollout = rollout.clone()

    def __getattr__(self, name):
        return getattr(self.credit, name)


def option_names(options):
    return {item.name for item in fields(options)}


def built(name, *arguments):
    """The module of an algorithm as the command line builds it, tiny, with weights of seed 0."""
    kind = OFF_POLICY if "updates" in option_names(ALGORITHMS[name]) else ON_POLICY
    sizes = {**SMALL, **kind}
    if PREY[0] in arguments or SETS[0] in arguments:
        del sizes["env.n_agents"]
    defaults = [f"{key}={value}" for key, value in sizes.items()]
    config = resolve(training_schema(name), [*defaults, *arguments])
    torch.manual_seed(0)
    return build(config)


def run_of(name, *arguments):
    """A run; with the same arguments it is the same run."""
    return one_run(name, *sorted(arguments))


@functools.cache
def one_run(name, *arguments):
    return Run(built(name, *arguments))


def trained(name, *arguments):
    return run_of(name, *arguments).trained


@pytest.fixture(scope="module", autouse=True)
def _forget():
    yield
    one_run.cache_clear()


# ---------------------------------------------------------------------- what is observed
def scale_is_seen(run):
    """Does the policy change when its observations are doubled?"""
    actor = run.module.loss.actor
    observation = torch.randn(5, 4, 18)
    outputs = getattr(actor, "log_probs", None) or actor.values
    return not torch.allclose(outputs(observation), outputs(2 * observation), atol=1e-3)


def head_gain(run):
    """Norm of the columns of the output layer before training."""
    head = run.module.loss.actor.net.head.weight[0]
    return round(head.norm(dim=0).mean().item(), 1)


def one_step(run):
    """Is A = r + γ V' − V?  (λ = 0)"""
    value = run["state_value"]
    following = run["next", "agents", "state_value"]
    terminated = run["next", "terminated"].unsqueeze(-2)
    target = run["next", "agents", "reward"] + 0.99 * following * ~terminated
    return torch.allclose(run["individual_advantage"], target - value, atol=1e-4)


def no_future(run):
    """Is A = r − V?  (γ = 0)"""
    expected = run["next", "agents", "reward"] - run["state_value"]
    return torch.allclose(run["individual_advantage"], expected, atol=1e-4)


def is_mixed_only(run):
    """Is Â = Ŵ A, without standardisation?"""
    return torch.allclose(
        run["advantage"], run["influence"] @ run["individual_advantage"], atol=1e-4
    )


def team_reward_is_the_target(run):
    """COMA: is the target Σ r?  (γ = 0)"""
    reward = run["next", "agents", "reward"].sum(-2, keepdim=True)
    return torch.allclose(run["value_target"], reward.expand_as(run["value_target"]), atol=1e-4)


def standard_deviation(run):
    return round(run["advantage"].std().item(), 1)


def smallest_scale(run):
    return run.trained.module.loss.value_norm.moments()[1].min().item() >= 999


def largest_norm(run):
    return max(run.trained.norms) <= 0.001 * 4 + 1e-6


def greedy(run):
    rollout = run.trained.evaluations[0]
    actor = run.module.loss.actor
    outputs = getattr(actor, "log_probs", None) or actor.values
    with torch.no_grad():
        best = outputs(rollout["agents", "observation"]).argmax(-1)
    return torch.equal(best, rollout["agents", "action"])


def targets_equal_sources(run):
    pairs = run.trained.module.loss.target_pairs
    return all(
        torch.equal(a, b)
        for target, source in pairs
        for a, b in zip(target.parameters(), source.parameters(), strict=True)
    )


def attention_before_training(run):
    weight = run.module.loss.critic(torch.randn(50, 4, 6))[1]
    return bool(weight.mean() > 0.8)


def losses(run):
    return set(run.trained.module._step_names)


def embed(run):
    """Units of the mixing network."""
    sizes = {tuple(p.shape) for p in run.module.loss.mixer.parameters()}
    return max(width for shape in sizes for width in shape if width in (5, 32))


def epsilon(run):
    return round(run.trained.module.loss.actor.epsilon.item(), 6)


def start_of_epsilon(run):
    run.trained.module._set_epsilon(0)
    return epsilon(run)


def argument(name):
    return lambda run: run.module.loss.actor.arguments[name]


def of_part(name):
    """An argument of the image or the set that the actor reads; None without one."""

    def found(run):
        for part in run.module.loss.actor.arguments.get("parts", ()):
            return part.get(name)
        return None

    return found


def of_loss(name):
    return lambda run: getattr(run.module.loss, name)


def of_source(name):
    return lambda run: getattr(run.credit.source, name)


def of_test(name):
    return lambda run: getattr(run.credit.source.options, name)


def of_discretise(name):
    return lambda run: getattr(run.credit.source.discretise, name)


def part(run):
    return type(run.credit.source.discretise).__name__


def critic(run):
    return type(run.module.loss.critic)


def burn_in(run):
    """Steps before a chunk in the replay buffer."""
    return run.trained.module.replay.sample(1)["next", "done"].shape[1] - run.module.options.chunk


def neighbours(run):
    """Agents that a critic sees beside the own one; None for all."""
    found = run.module.loss.critic.neighbours
    return None if found is None else found.shape[1] - 1


def attended(run):
    """Agents that a critic chooses in every state."""
    return getattr(run.module.loss.critic.first, "attended", None)


def noise(run):
    return round(run.trained.module.noisy.epsilon.item(), 6)


def start_of_noise(run):
    run.trained.module._set_noise(0)
    return noise(run)


PREY = ("env=capture_prey",)  # it has images
SETS = ("env=torchrl", "env.task=set_helpers:Nearest")
NETWORK = {
    "hidden": Effect("12", lambda run: run.module.loss.actor.net.head.weight.shape[1], 12),
    "depth": Effect("1", lambda run: len(run.module.loss.actor.net.middle), 0),
    "activation": Effect("tanh", argument("activation"), "tanh"),
    "hidden_norm": Effect("true", argument("hidden_norm"), True),
    "input_norm": Effect("none", scale_is_seen, True, under=("gain=1.0",)),
    "share": Effect("true", lambda run: len(run.module.loss.actor.net.first.weight), 1),
    "gain": Effect("5.0", head_gain, 5.0, under=("lr=1e-9",)),
    "images": Effect("cnn", of_part("filters"), 16, under=PREY),
    "filters": Effect("5", of_part("filters"), 5, under=("images=cnn", *PREY)),
    "convolutions": Effect("1", of_part("convolutions"), 1, under=("images=cnn", *PREY)),
    "sets": Effect("attention", of_part("entities"), 5, under=SETS),
    "heads": Effect("2", of_part("heads"), 2, under=("sets=attention", *SETS)),
    "embedding": Effect("8", of_part("embedding"), 8, under=("sets=attention", *SETS)),
}
TRAINING = {
    "lr": Effect("0.01", lambda run: next(iter(run.trained.rates[0].values())), 0.01),
    "lr_end": Effect(
        "0.001", lambda run: round(next(iter(run.trained.rates[-1].values())), 6), 0.001
    ),
    "adam_eps": Effect("0.1", lambda run: run.trained.eps, 0.1),
    "max_grad_norm": Effect("0.001", largest_norm, True),
    "num_envs": Effect("3", lambda run: run.trained.module.env.batch_size[0], 3),
    "eval_every": Effect("1", lambda run: len(run.trained.evaluations), 2),
    "eval_episodes": Effect("5", lambda run: run.trained.evaluations[0].shape[0], 5),
    "eval_steps": Effect("4", lambda run: run.trained.evaluations[0].shape[1], 4),
    "eval_deterministic": Effect("false", greedy, False),
    "recurrent": Effect("lstm", argument("recurrent"), "lstm"),
}
PPO = {
    "rollout_steps": Effect("4", lambda run: run.trained.rollout.shape[1], 4),
    "epochs": Effect("3", lambda run: len(run.trained.batch_sizes), ITERATIONS * 3 * 2),
    "minibatches": Effect("4", lambda run: run.trained.batch_sizes[0], 10),
    "normalize": Effect("none", is_mixed_only, True),
    "gamma": Effect("0", no_future, True),
    "lmbda": Effect("0", one_step, True),
    "value_norm": Effect("false", of_loss("value_norm"), None),
    "min_variance": Effect("1000000", smallest_scale, True),
    "clip": Effect("0.05", of_loss("clip"), 0.05),
    "entropy": Effect("3", of_loss("entropy"), 3.0),
    "value": Effect("0.5", of_loss("value"), 0.5),
    "value_clip": Effect("0.3", of_loss("value_clip"), 0.3),
    "huber_delta": Effect("0.1", of_loss("huber_delta"), 0.1),
    "chunk": Effect("5", lambda run: run.trained.batch_sizes[0], 4, under=("recurrent=gru",)),
    "eval_temperature": Effect("1e-6", greedy, True, under=("eval_deterministic=false",)),
}
REPLAY = {
    "rollout_steps": Effect("5", lambda run: run.trained.module.rows, 20),
    "gamma": Effect("0.5", of_loss("gamma"), 0.5),
    "normalize_values": Effect("false", of_loss("norm"), None),
    "huber_delta": Effect("0.1", of_loss("huber_delta"), 0.1),
    "tau": Effect("1.0", targets_equal_sources, True),
    "target_every": Effect("4", targets_equal_sources, True),
    "updates": Effect("5", lambda run: len(run.trained.batch_sizes), ITERATIONS * 5),
    "batch_size": Effect("8", lambda run: run.trained.batch_sizes[0], 8),
    "capacity": Effect("80", lambda run: run.trained.module.replay.pieces, 2),
    "warmup": Effect("0", lambda run: run.trained.module.frames, ITERATIONS * 40),
    "chunk": Effect("5", lambda run: run.trained.batch_sizes[0], 4, under=("recurrent=gru",)),
    "burn_in": Effect("3", burn_in, 3, under=("recurrent=gru",)),
}
SHARING = {"reward": Effect("split", lambda run: "loss_reward" in losses(run), True)}
WEIGHTS = {
    "orientation": Effect("attention", of_source("orientation"), "attention"),
    "target": Effect("mc", lambda run: type(run.credit.inner).__name__, "GAEWithReturns"),
}
BOX = ("env.continuous=true",)
GAUSSIAN = {
    "distribution": Effect("tanh_normal", argument("distribution"), "tanh_normal", under=BOX),
    "scale": Effect("state", argument("scale"), "state", under=BOX),
    "initial_scale": Effect("0.2", argument("initial_scale"), 0.2, under=BOX),
}
LEARNED = {
    **WEIGHTS,
    "discretise": Effect("soft", part, "Soft"),
    "threshold": Effect("0.45", of_discretise("c"), 0.45),
    "noise": Effect("true", of_discretise("noise"), True),
    "tau": Effect("0.3", lambda run: run.module.loss.critic.attention.tau, 0.3),
    "initial_influence": Effect("ones", attention_before_training, True, under=("lr=1e-9",)),
    "diagonal": Effect("false", of_source("diagonal"), False),
    "draw": Effect("epoch", lambda run: run.module.redraw, True),
    "sparsity": Effect("3", lambda run: "loss_sparsity" in losses(run), True),
    "supervision": Effect("0.5", lambda run: run.module.loss.supervision, 0.5),
    "attention_share": Effect("0.5", lambda run: run.module.loss.attention_share, 0.5),
}
EFFECTS = {
    "ilvf_p": {
        **PPO,
        **GAUSSIAN,
        **SHARING,
        **LEARNED,
        "influence": Effect("ones", lambda run: bool((run["influence"] == 1).all()), True),
        "shared_first": Effect(
            "true", lambda run: type(run.module.loss.critic.first).__name__, "SharedFirst"
        ),
        "neighbours": Effect("2", neighbours, 2),
    },
    "no_inferring": {**PPO, **GAUSSIAN, **SHARING, **LEARNED},
    "ilvf_s": {
        **PPO,
        **GAUSSIAN,
        **SHARING,
        "prior": Effect("team", of_test("prior"), "team"),
        "units": Effect("7", of_test("units"), 7),
        "block": Effect("5", of_test("block"), 5),
        "evidence": Effect("2.5", of_test("evidence"), 2.5),
        "test_memory": Effect("0.5", of_test("test_memory"), 0.5),
        "gradient_memory": Effect("0.25", of_test("gradient_memory"), 0.25),
        "averaging": Effect("16.0", of_test("averaging"), 16.0),
        "residual": Effect("false", of_test("residual"), False),
        "critic": Effect("influence", critic, InfluenceCritic),
        "shared_first": Effect("true", lambda run: run.module.loss.critic.shared_first, True),
        "neighbours": Effect("2", neighbours, 2),
        "neighbours_by": Effect("attention", attended, 2, under=("neighbours=2",)),
    },
    "prd": {**PPO, **GAUSSIAN, **SHARING, **WEIGHTS, "threshold": Effect("null", part, "Soft")},
    "mappo": {
        **PPO,
        **GAUSSIAN,
        **SHARING,
        "critic": Effect("central", critic, CentralCritic),
        "shared_first": Effect("true", lambda run: run.module.loss.critic.shared_first, True),
        "neighbours": Effect("2", neighbours, 2),
        "neighbours_by": Effect("attention", attended, 2, under=("neighbours=2",)),
    },
    "ippo": {
        **PPO,
        **GAUSSIAN,
        **SHARING,
        "critic": Effect("state", critic, StateCritic),
        "neighbours": Effect("2", neighbours, 2, under=("critic=state",)),
        "neighbours_by": Effect("attention", attended, 2, under=("critic=state", "neighbours=2")),
    },
    "coma": {
        **PPO,
        "normalize": Effect("none", lambda run: standard_deviation(run) == 1.0, False),
        "gamma": Effect("0", team_reward_is_the_target, True, under=("lmbda=0",)),
        "lmbda": Effect("0.3", lambda run: run.credit.lmbda, 0.3),
    },
    "qmix": {
        **REPLAY,
        "mixer": Effect("vdn", lambda run: run.module.loss.mixer.needs_state, False),
        "embed": Effect("5", embed, 5),
        "double": Effect("false", of_loss("double_q"), False),
        "epsilon_start": Effect("0.5", start_of_epsilon, 0.5),
        "epsilon_end": Effect("0.9", epsilon, 0.9, under=("epsilon_frames=40",)),
        "epsilon_frames": Effect("0", epsilon, 0.05),
    },
    "maddpg": {
        **REPLAY,
        "temperature": Effect("0.1", of_loss("temperature"), 0.1),
        "entropy": Effect("3", of_loss("entropy"), 3.0),
        "actor_lr": Effect("0.05", lambda run: run.trained.rates[0].get("actor"), 0.05),
        "noise": Effect("ou", lambda run: bool(run.trained.module.noisy.process), True, under=BOX),
        "noise_start": Effect("0.9", start_of_noise, 0.9, under=BOX),
        "noise_end": Effect("0.3", noise, 0.3, under=("noise_frames=40", *BOX)),
        "noise_frames": Effect("0", noise, 0.1, under=BOX),
    },
}


ALONE = {  # options that change what is observed of others, or are observed as others are
    *("actor_lr", "critic", "diagonal", "discretise", "draw", "gamma", "influence", "lmbda"),
    *("batch_size", "minibatches", "num_envs", "rollout_steps", "updates", "warmup", "capacity"),
    *(
        "embed",
        "mixer",
        "neighbours",
        "neighbours_by",
        "normalize",
        "recurrent",
        "sparsity",
        "supervision",
    ),
    *("shared_first", "target_every", "tau", "threshold", "value_norm"),
    *("epsilon_start", "epsilon_end", "epsilon_frames"),
    *("noise", "noise_start", "noise_end", "noise_frames"),
}


def effects(name):
    return {**NETWORK, **TRAINING, **EFFECTS.get(name, {})}


def arguments_for(name, key):
    """What a run is told to show the effect of an option; most options share their run."""
    effect = effects(name)[key]
    shared = [key]
    if key not in ALONE:
        others = effects(name).items()
        shared = [k for k, other in others if k not in ALONE and other.under == effect.under]
    return [f"algorithm.{k}={effects(name)[k].text}" for k in shared]


CASES = [(name, key) for name in ALGORITHMS for key in effects(name)]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "key"), CASES)
def test_an_option_has_its_effect(name, key):
    effect = effects(name)[key]
    under = tuple(key if key.startswith("env") else f"algorithm.{key}" for key in effect.under)
    without = effect.observe(run_of(name, *under))
    assert without != effect.expected
    observed = effect.observe(run_of(name, *under, *arguments_for(name, key)))
    assert observed == effect.expected


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_option_is_tested(name):
    assert set(effects(name)) == option_names(ALGORITHMS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_same_seed_learns_the_same(name):
    first = [p.clone() for p in trained(name).module.parameters()]
    one_run.cache_clear()
    again = trained(name).module.parameters()
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", ALGORITHMS)
def test_evaluation_does_not_change_the_learning(name):
    first = trained(name).module.parameters()
    others = trained(name, "algorithm.eval_every=1", "algorithm.eval_episodes=5")
    assert all(torch.equal(a, b) for a, b in zip(first, others.module.parameters(), strict=True))


# ---------------------------------------------------------------------- the trainer
TRAINER = {  # option → (text, what Lightning or torch is given)
    "max_epochs": ("7", lambda seen: seen["max_epochs"], 7),
    "accelerator": ("cpu", lambda seen: seen["accelerator"], "cpu"),
    "devices": ("2", lambda seen: seen["devices"], 2),
    "strategy": ("ddp", lambda seen: type(seen["strategy"]).__name__, "DDPStrategy"),
    "precision": ("bf16-mixed", lambda seen: seen["precision"], "bf16-mixed"),
    "threads": ("2", lambda seen: seen["threads"], [2]),
    "progress": ("false", lambda seen: seen["enable_progress_bar"], False),
}


@pytest.mark.parametrize("key", TRAINER)
def test_an_option_of_the_trainer_reaches_lightning(key, out, recipe, monkeypatch):
    text, observe, expected = TRAINER[key]
    threads = []
    seen = []

    def trainer(**options):
        seen.append({**options, "threads": list(threads)})
        raise RuntimeError("seen enough")

    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.setattr("ilvf.experiment.run.L.Trainer", trainer)
    for arguments in ([], [f"trainer.{key}={text}"]):
        threads.clear()
        assert recipe("mappo", "env.n_agents=4", *arguments, f"out={out}") == 2
    assert observe(seen[0]) != expected
    assert observe(seen[1]) == expected


def test_several_machines_need_torchrun(out, recipe, capsys):
    """tests/distributed runs it under torchrun."""
    assert recipe("mappo", "env.n_agents=4", "trainer.num_nodes=2", f"out={out}") == 2
    assert "torchrun" in capsys.readouterr().err


TESTED_ELSEWHERE = {  # option → where
    "num_nodes": "tests/distributed",
    "collector": "tests/collectors",
    "collector_workers": "tests/collectors",
    "system_metrics": "test_mlflow.py",
    "logger": "test_loggers.py",
    "early_stopping": "test_monitors.py",
    "early_stopping_delta": "test_monitors.py",
    "save_top_k": "test_monitors.py",
    "pictures": "tests/reports/test_pictures.py",
    "animation": "tests/reports/test_animation.py",
}


def test_every_option_of_the_trainer_is_tested():
    assert {*TRAINER, *TESTED_ELSEWHERE} == option_names(TrainerOptions)
