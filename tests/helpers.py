"""Shared by the tests: paths, runs of seconds, a bare trainer, random data, references."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import Tensor
from torchrl.modules import ProbabilisticActor

from ilvf.modules import CategoricalActor

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
    "trainer.pictures=false",
    "trainer.animation=false",
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
    """Train `module` for `iterations` iterations; returns it."""
    bare_trainer(iterations, *callbacks).fit(module)
    return module


def checkpointed(
    module: L.LightningModule, iterations: int, folder: Path, **options: Any
) -> tuple[str, L.LightningModule]:
    """Train in a folder, with the options of `Trainer.fit`; (best checkpoint, module)."""
    trainer = bare_trainer(iterations, enable_checkpointing=True, default_root_dir=folder)
    trainer.fit(module, **options)
    return trainer.checkpoint_callback.best_model_path, module


def assert_same_state(whole: torch.nn.Module, resumed: torch.nn.Module) -> None:
    """Every tensor of `resumed` is that of `whole`, bit for bit."""
    state = whole.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in resumed.state_dict().items())


def parameters_of(module: torch.nn.Module) -> torch.Tensor:
    """All parameters in one vector."""
    return torch.cat([p.detach().flatten() for p in module.parameters()])


# ---------------------------------------------------------------------- data
def random_rollout(
    rows: int, steps: int, n_agents: int, width: int, done_at: Sequence[tuple[int, int]] = ()
) -> TensorDict:
    """A rollout `[rows, steps]` with random observations, states and rewards of every agent.

    Args:
        width: numbers in an observation and in a state.
        done_at: (row, step) pairs at which an episode ends by truncation. The flags are the
            team's; to terminate, copy `done` into `terminated`.
    """
    batch = (rows, steps)
    done = torch.zeros(*batch, 1, dtype=torch.bool)
    for row, step in done_at:
        done[row, step] = True
    now = {name: torch.randn(*batch, n_agents, width) for name in ("observation", "state")}
    later = {name: torch.randn(*batch, n_agents, width) for name in now}
    later["reward"] = torch.randn(*batch, n_agents, 1)
    ends = {"done": done, "terminated": torch.zeros_like(done)}
    content = {"agents": now, "next": {"agents": later, **ends}}
    return TensorDict(content, batch, names=[None, "time"])


def random_transitions(
    rows: int,
    n_agents: int,
    observation_dim: int,
    state_dim: int,
    n_actions: int,
    terminated: bool = False,
) -> TensorDict:
    """Random transitions `[rows]` for the off-policy losses; all terminated, or none."""

    def moment() -> dict[str, Tensor]:
        return {
            "observation": torch.randn(rows, n_agents, observation_dim),
            "state": torch.randn(rows, n_agents, state_dim),
        }

    now = {**moment(), "action": torch.randint(n_actions, (rows, n_agents))}
    later = {**moment(), "reward": torch.randn(rows, n_agents, 1)}
    following = {"agents": later, "terminated": torch.full((rows, 1), terminated)}
    return TensorDict({"agents": now, "next": following}, [rows])


# ---------------------------------------------------------------------- references
def torchrl_policy(actor: CategoricalActor, **options: Any) -> ProbabilisticActor:
    """TorchRL's policy on the networks of `actor`."""
    logits = TensorDictModule(
        actor.log_probs, in_keys=[("agents", "observation")], out_keys=[("agents", "logits")]
    )
    return ProbabilisticActor(
        logits,
        in_keys=[("agents", "logits")],
        out_keys=[("agents", "action")],
        distribution_class=torch.distributions.Categorical,
        return_log_prob=True,
        **options,
    )


def gae_by_loop(
    reward: Tensor,
    value: Tensor,
    next_value: Tensor,
    done: Tensor,
    terminated: Tensor,
    gamma: float = 0.9,
    lmbda: float = 0.8,
) -> Tensor:
    """GAE step by step, of `[B, T]` tensors:  A_t = δ_t + γ λ (1 − done) A_{t+1}

    with δ_t = r_t + γ (1 − terminated) V(s_{t+1}) − V(s_t).
    """
    advantage = torch.zeros_like(reward)
    rows, steps = reward.shape
    for b in range(rows):
        later = 0.0
        for t in reversed(range(steps)):
            future = 0.0 if terminated[b, t] else next_value[b, t]
            delta = reward[b, t] + gamma * future - value[b, t]
            carried = 0.0 if done[b, t] else later
            later = delta + gamma * lmbda * carried
            advantage[b, t] = later
    return advantage
