"""Shared by the tests: paths, sizes of runs that take seconds, a bare trainer, rollouts."""

from pathlib import Path
from typing import Any

import lightning as L
import torch

ROOT = Path(__file__).parents[1]

TINY = (  # a run of seconds, as arguments of a recipe
    "env.n_agents=4",
    "env.horizon=10",
    "algorithm.num_envs=4",
    "algorithm.rollout_steps=10",
    "algorithm.epochs=2",
    "algorithm.minibatches=2",
    "algorithm.hidden=8",
    "algorithm.eval_every=2",
    "algorithm.eval_episodes=3",
    "trainer.max_epochs=2",
    "trainer.progress=false",
    "trainer.accelerator=cpu",
)


def bare_trainer(iterations: int, *callbacks: L.Callback, **options: Any) -> L.Trainer:
    """A trainer on the CPU without logger, checkpoints and output."""
    settings = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "callbacks": list(callbacks),
    }
    return L.Trainer(max_epochs=iterations, **{**settings, **options})


def fit(module: L.LightningModule, iterations: int, *callbacks: L.Callback) -> L.LightningModule:
    """Train `module` for some iterations."""
    bare_trainer(iterations, *callbacks).fit(module)
    return module


def parameters_of(module: torch.nn.Module) -> torch.Tensor:
    """All parameters in one vector."""
    return torch.cat([p.detach().flatten() for p in module.parameters()])
