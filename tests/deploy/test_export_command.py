"""`ilvf export`: a run's team as one file."""

import pytest
import torch

from ilvf import load_policy
from ilvf.deploy import SignalController

TINY = (
    "algorithm.num_envs=2",
    "algorithm.hidden=8",
    "algorithm.epochs=1",
    "algorithm.eval_episodes=1",
    "trainer.max_epochs=1",
    "trainer.progress=false",
    "trainer.pictures=false",
    "trainer.animation=false",
)


@pytest.fixture
def run(recipe, out):
    """The folder of a run on Encircle."""
    options = ("env.n_agents=4", "env.horizon=10", "algorithm.rollout_steps=10")
    assert recipe("ippo", *options, *TINY, f"out={out}") == 0
    (checkpoint,) = out.glob("ippo-encircle-*/checkpoints/best.ckpt")
    return checkpoint.parent.parent


@pytest.mark.slow
def test_a_runs_folder_is_exported_and_loaded(run, recipe, out, capsys):
    assert recipe("export", f"checkpoint={run}", "to=torch") == 0
    assert "Policy(ippo: 4 agents" in capsys.readouterr().out
    assert recipe("export", "checkpoint=last", f"out={out}", f"file={out / 'team.onnx'}") == 0
    assert (out / "team.onnx").is_file()
    policy = load_policy(run)
    observation = torch.randn(3, 4, policy.actor.arguments["observation_dim"])
    action, _ = torch.export.load(run / "policy.pt2").module()(observation)
    assert torch.equal(action, policy(observation))
    assert policy.double().actor.net.head.weight.dtype == torch.float64
    sharp = load_policy(run, temperature=0.5)
    words = ("temperature=0.5", f"file={out / 'sharp.pt2'}")
    assert recipe("export", "to=torch", f"checkpoint={run}", *words) == 0
    _, logits = torch.export.load(out / "sharp.pt2").module()(observation)
    assert torch.allclose(logits, sharp.actor.outputs(observation), atol=1e-6)
    for words, sentence in (
        (("to=signals", f"checkpoint={run}"), "to=signals is for traffic signals"),
        (("to=torch",), "give checkpoint=PATH"),
        (("to=torch", f"checkpoint={run}", f"file={out / 'a' / 'b'}"), "cannot be written"),
    ):
        assert recipe("export", *words) == 2
        assert sentence in capsys.readouterr().err


@pytest.mark.slow
def test_trained_signals_are_exported(recipe, out, town):
    network, routes = town
    options = (f"env.net_file={network.net_file}", f"env.routes={routes}", "env.seconds=50")
    words = ("env=sumo", *options, "algorithm.rollout_steps=10", "algorithm.num_envs=1")
    assert recipe("ippo", *TINY, *words, f"out={out}") == 0
    assert recipe("export", "checkpoint=last", "to=signals", f"out={out}") == 0
    (file,) = out.glob("ippo-sumo-*/signals.ilvf")
    assert len(SignalController.load(file).network.signals) == 7
