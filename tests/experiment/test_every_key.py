"""Every key of every recipe's config is live: another value gives another outcome."""

import functools
import importlib

import lightning as L
import pytest
import torch

from helpers import ROOT
from ilvf.experiment.command_line import command_line, flatten

SMALL = (
    "env.n_agents=4",
    "env.horizon=10",
    "algorithm.num_envs=4",
    "algorithm.rollout_steps=10",
    "algorithm.hidden=8",
    "algorithm.lr=0.03",
    "algorithm.eval_episodes=3",
    "algorithm.eval_every=100",
)
KIND = {
    "on_policy": (*SMALL, "algorithm.epochs=2", "algorithm.minibatches=2"),
    "off_policy": (*SMALL, "algorithm.updates=4", "algorithm.batch_size=16", "algorithm.warmup=20"),
}
NETWORK = "hidden=12 depth=1 hidden_norm=true input_norm=none share=true gain=1.0"
SHARED = {
    "on_policy": f"{NETWORK} normalize=none gamma=0.5 lmbda=0.3 value_norm=false min_variance=1000 clip=0.001 "
    "entropy=3 value=0.01 value_clip=0.001 huber_delta=0.01 lr=0.01 lr_end=0.001 adam_eps=0.1 max_grad_norm=0.001 "
    "num_envs=3 rollout_steps=4 epochs=3 minibatches=3",
    "off_policy": f"{NETWORK} gamma=0.5 normalise=false huber_delta=0.01 lr=0.01 lr_end=0.001 adam_eps=0.1 "
    "max_grad_norm=0.001 tau=0.5 target_every=2 updates=5 batch_size=8 capacity=40 warmup=0 num_envs=3 rollout_steps=4",
}
CREDIT = (
    "discretise=soft threshold=0.45 noise=true tau=0.3 initial_influence=ones orientation=attention diagonal=false "
    "draw=epoch target=mc sparsity=3"
)
OWN = {
    "ilvf_p": f"influence=ones influence=identity influence=reward_graph {CREDIT} shared_first=true",
    "no_inferring": CREDIT,
    "prd": "threshold=0.4 threshold=null orientation=attention target=mc",
    "mappo": "critic=central shared_first=true",
    "ippo": "critic=state",
    "coma": "lmbda=0.3",
    "qmix": "mixer=vdn embed=5 double=false epsilon_start=0.5 epsilon_end=0.9 epsilon_frames=30",
    "maddpg": "temperature=0.1 entropy=3.0 actor_lr=0.05",
}
UNDER = {  # what another key must be for this one to matter
    "draw=epoch": ("discretise=bernoulli",),
    "orientation=attention": ("discretise=soft",),
    "diagonal=false": ("discretise=soft",),
    "capacity=40": ("rollout_steps=5",),
}
OF_RECIPE = {
    "prd": {"orientation=attention": ("threshold=null",)},
    "qmix": {"": ("epsilon_frames=200",)},
}
EVALUATION = {"eval_every", "eval_episodes", "eval_steps", "eval_deterministic"}


def kind(name):
    return "off_policy" if name in ("qmix", "maddpg") else "on_policy"


def config(name, *options):
    recipe = ROOT / "recipes" / f"{name}.py"
    return command_line(
        str(recipe), "doc", [*KIND[kind(name)], *(f"algorithm.{o}" for o in options)]
    )


@functools.cache
def trained(name, *options):
    """The recipe's module after three iterations, as the command line would have it."""
    L.seed_everything(0, verbose=False)
    module = importlib.import_module(name).build(config(name, *options))
    L.Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(module)
    return module


@pytest.fixture(scope="module", autouse=True)
def forget():
    yield
    trained.cache_clear()


def parameters(*args):
    return [p.detach() for p in trained(*args).parameters()]


ALL = [(name, option) for name in OWN for option in f"{SHARED[kind(name)]} {OWN[name]}".split()]


@pytest.mark.parametrize(("name", "option"), ALL)
def test_another_value_learns_something_else(name, option):
    under = OF_RECIPE.get(name, {}).get(option, UNDER.get(option, ())) + OF_RECIPE.get(
        name, {}
    ).get("", ())
    under = tuple(u for u in under if u.partition("=")[0] != option.partition("=")[0])
    first, second = parameters(name, *under), parameters(name, *under, option)
    same = len(first) == len(second) and all(
        a.shape == b.shape for a, b in zip(first, second, strict=True)
    )
    assert not same or any(not torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("name", OWN)
def test_the_same_value_learns_the_same(name):
    """What makes the test above one that can fail."""
    first = [p.clone() for p in parameters(name)]
    trained.cache_clear()
    assert all(torch.equal(a, b) for a, b in zip(first, parameters(name), strict=True))


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize(
    "option", ["eval_every=2", "eval_episodes=5", "eval_steps=4", "eval_deterministic=false"]
)
def test_evaluation(name, option):
    """Evaluated more often, on other episodes, or on shorter ones, and the learning is the same."""
    metrics = [
        trained(name, *options).last_metrics["eval/return/team"] for options in ((), (option,))
    ]
    assert (metrics[0] == metrics[1]) == (option == "eval_every=2")
    assert all(
        torch.equal(a, b) for a, b in zip(parameters(name), parameters(name, option), strict=True)
    )


def test_how_often_it_is_evaluated(monkeypatch):
    seen = []
    for option in ("eval_every=1", "eval_every=3"):
        module = importlib.import_module("mappo").build(config("mappo", option))
        monkeypatch.setattr(type(module), "_evaluate", lambda self: seen.append(option) or {})
        L.Trainer(
            max_epochs=3,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
        ).fit(module)
    assert seen == ["eval_every=1"] * 3 + ["eval_every=3"]


@pytest.mark.parametrize("name", OWN)
def test_no_key_is_left_out(name):
    keys = set(config(name)["algorithm"])
    assert keys == {o.partition("=")[0] for _, o in ALL if _ == name} | EVALUATION


@pytest.mark.parametrize(
    "option",
    [
        "max_epochs=7",
        "accelerator=cpu",
        "devices=2",
        "num_nodes=2",
        "strategy=ddp",
        "precision=bf16-mixed",
        "threads=2",
        "progress=false",
    ],
)
def test_the_trainers_keys(option, out, recipe, monkeypatch):
    """They reach Lightning, or torch."""
    seen = []

    def trainer(**options):
        told = {
            k: str(v)
            for k, v in options.items()
            if k in ("max_epochs", "accelerator", "devices", "num_nodes")
        }
        told |= {"strategy": type(options["strategy"]).__name__, "precision": options["precision"]}
        bars = [type(c).__name__ for c in options["callbacks"] if "Bar" in type(c).__name__]
        seen.append((told, bars, options["enable_progress_bar"], threads[:]))
        raise RuntimeError("seen enough")

    threads = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.setattr("ilvf.experiment.run.L.Trainer", trainer)
    for args in ((), (f"trainer.{option}",)):
        threads.clear()
        assert recipe("mappo", *SMALL, *args, f"out={out}") == 2
    assert seen[0] != seen[1]


def test_no_key_of_the_trainer_is_left_out():
    assert {k for k in flatten(config("mappo")) if k.startswith("trainer.")} == {
        f"trainer.{k}"
        for k in (
            "max_epochs",
            "accelerator",
            "devices",
            "num_nodes",
            "strategy",
            "precision",
            "threads",
            "progress",
        )
    }
