"""Evaluation of a policy on fresh episodes, without disturbing the training run's random numbers."""

from collections.abc import Mapping

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torchrl.envs import EnvBase
from torchrl.envs.utils import ExplorationType, set_exploration_type

EVALUATION_SEED = 10_000_019  # added to the run's seed: starts that training never sees


@torch.no_grad()
def evaluate(
    env: EnvBase, policy: TensorDictModuleBase, *, max_steps: int, deterministic: bool = True
) -> tuple[dict[str, float], TensorDictBase]:
    """Run the first episode of every environment to its end: (metrics, rollout `[B, T]`).

    The metrics are `episode_metrics` of the rollout.
    """
    mode = ExplorationType.DETERMINISTIC if deterministic else ExplorationType.RANDOM
    with torch.random.fork_rng(), set_exploration_type(mode):
        rollout = env.rollout(max_steps, policy, break_when_any_done=False, break_when_all_done=True)
    sums = episode_sums(rollout)
    return episode_metrics({k: float(v) for k, v in sums.items()}), rollout


def episode_sums(rollout: TensorDictBase) -> dict[str, torch.Tensor]:
    """Sums that add up over processes: rewards and entries, and the statistics of every episode that ended."""
    reward, done = rollout["next", "agents", "reward"], rollout["next", "done"]
    sums = {"reward": reward.sum(), "entries": torch.tensor(float(reward.numel()), device=reward.device)}
    sums["episodes"] = done.sum().float()
    for name, value in rollout["next", "episode"].items():
        sums[f"episode/{name}"] = (value * done).sum()
    return sums


def episode_metrics(sums: Mapping[str, float]) -> dict[str, float]:
    """`reward/agent_step`: mean over steps and agents; `return/team`: mean over episodes of Σ_t Σ_i r_i; the rest."""
    metrics = {"reward/agent_step": sums["reward"] / sums["entries"]}
    if sums["episodes"]:
        for name, value in sums.items():
            if name.startswith("episode/"):
                metrics["return/team" if name == "episode/return" else name] = value / sums["episodes"]
    return metrics
