"""Evaluation of a policy on fresh episodes, without disturbing the training run's random numbers."""

import warnings
from collections.abc import Mapping

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torchrl.envs import EnvBase
from torchrl.envs.utils import ExplorationType, set_exploration_type

EVALUATION_SEED = 10_000_019  # added to the run's seed: starts that training never sees
INTERRUPTED = "interrupted"  # the statistic that is 1 where a fault has cut an episode short: its return says nothing


@torch.no_grad()
def evaluate(
    env: EnvBase, policy: TensorDictModuleBase, *, max_steps: int, deterministic: bool = True
) -> tuple[dict[str, float], TensorDictBase]:
    """Run the first episode of every environment to its end, or for `max_steps`: (metrics, rollout `[B, T]`).

    The metrics are `episode_metrics` of the first episodes, without those that were interrupted. An environment that
    does not keep `episode` statistics has its returns and lengths counted here.
    """
    mode = ExplorationType.DETERMINISTIC if deterministic else ExplorationType.RANDOM
    with torch.random.fork_rng(), set_exploration_type(mode):
        rollout = env.rollout(
            max_steps, policy, break_when_any_done=False
        )  # what follows a first end is not counted
    counted, ends = first_episode(rollout["next", "done"])
    if not keeps_episodes(rollout):
        reward = rollout["next", "agents", "reward"].sum(-2)
        rollout["next", "episode", "return"] = (reward * counted).cumsum(1)
        rollout["next", "episode", "length"] = counted.float().cumsum(1)
    whole = ~(ends & interrupted(rollout)).any(1, keepdim=True)  # [B, 1, 1]
    if not whole.all():
        warnings.warn(
            _left_out(int((~whole).sum()), len(whole)), stacklevel=3
        )  # 2 is torch.no_grad
    sums = episode_sums(rollout, counted & whole, ends)
    return episode_metrics({k: float(v) for k, v in sums.items()}), rollout


def _left_out(broken: int, number: int) -> str:
    left = "they are left out of the means" if broken < number else "there is no return to report"
    return f"{broken} of {number} evaluation episodes were interrupted by a fault of the environment; {left}"


def first_episode(done: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(steps of the first episode, its last step), bool `[B, T, 1]` each, of rollouts that start with an episode."""
    counted = (done.cumsum(1) - done.int()) == 0
    ends = counted & done
    ends[:, -1] |= counted[:, -1]
    return counted, ends


def keeps_episodes(rollout: TensorDictBase) -> bool:
    return ("next", "episode", "return") in rollout.keys(True, True)


def interrupted(rollout: TensorDictBase) -> torch.Tensor:
    """bool `[B, T, 1]`: an episode that ends here has been cut short by a fault."""
    found = rollout["next"].get(("episode", INTERRUPTED), None)
    return torch.zeros_like(rollout["next", "done"]) if found is None else found > 0


def episode_sums(
    rollout: TensorDictBase, counted: torch.Tensor | None = None, ends: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """Sums that add up over processes: rewards and entries, and the statistics of every episode that came to its end.

    counted, ends: bool `[B, T, 1]`, steps that count and steps at which an episode counts as ended; by default all, and
    those that are done. Episodes that were interrupted are only counted.
    """
    reward, done = rollout["next", "agents", "reward"], rollout["next", "done"]
    steps = torch.ones_like(done) if counted is None else counted
    sums = {
        "reward": (reward * steps.unsqueeze(-2)).sum(),
        "entries": steps.sum().float() * reward.shape[-2],
    }
    if keeps_episodes(rollout):
        ends, broken = done if ends is None else ends, interrupted(rollout)
        whole = ends & ~broken
        sums["episodes"] = whole.sum().float()
        for name, value in rollout["next", "episode"].items():
            sums[f"episode/{name}"] = (value * (ends if name == INTERRUPTED else whole)).sum()
    return sums


def episode_metrics(sums: Mapping[str, float]) -> dict[str, float]:
    """`reward/agent_step`: mean over steps and agents; `return/team`: mean over episodes of Σ_t Σ_i r_i; the rest.

    What there is nothing of to average is left out: a NaN among the metrics would be taken for a score.
    """
    means = {"reward/agent_step": (sums["reward"], sums["entries"])}
    whole, broken = sums.get("episodes", 0.0), sums.get(f"episode/{INTERRUPTED}", 0.0)
    for name, value in sums.items():
        if name.startswith("episode/"):
            count = (
                whole + broken if name == f"episode/{INTERRUPTED}" else whole
            )  # a share of all that ended
            means["return/team" if name == "episode/return" else name] = (value, count)
    return {name: value / count for name, (value, count) in means.items() if count}
