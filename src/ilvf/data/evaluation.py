"""Evaluation of a policy, and the metrics of episodes.

An evaluation runs new episodes and leaves torch's random numbers as they were before it.
"""

import contextlib
import warnings
from collections.abc import Iterator, Mapping

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor
from torchrl.envs import EnvBase
from torchrl.envs.utils import ExplorationType, set_exploration_type

from ilvf.data.rollout import with_memory

# Added to the run's seed, so that evaluation episodes have starts that training does not have.
SEEDS = 2**32  # seeds are below
EVALUATION_SEED = 10_000_019

# The episode statistic that is 1 if a fault of the environment cut the episode short. The return
# of such an episode is left out of all means.
INTERRUPTED = "interrupted"


def evaluation_seed(seed: int) -> int:
    """The seed of a run's evaluation episodes: start states that its training never sees."""
    return (EVALUATION_SEED + seed) % SEEDS


@torch.no_grad()
def evaluate(
    env: EnvBase,
    policy: TensorDictModuleBase,
    *,
    max_steps: int,
    deterministic: bool = True,
    seed: int | None = None,
) -> tuple[dict[str, float], TensorDictBase]:
    """Run the first episode of every environment in the batch.

    Args:
        env: B environments. If they do not write `episode` statistics, returns and lengths are
            computed here.
        policy: writes `("agents", "action")`.
        max_steps: T, steps after which an episode counts as ended.
        deterministic: take the most likely actions; False samples.
        seed: of torch's random numbers in the evaluation, such as sampled actions. None goes on
            with the present random numbers.

    Returns:
        `episode_metrics` of the first episodes, without the interrupted ones, and the rollout
        `[B, T]`, which also has the steps after a first episode.
    """
    mode = ExplorationType.DETERMINISTIC if deterministic else ExplorationType.RANDOM
    with separate_randomness(env.device, seed), set_exploration_type(mode):
        carrying = with_memory(env, policy)
        rollout = carrying.rollout(max_steps, policy, break_when_any_done=False)
    counted, ends = first_episode(rollout["next", "done"])
    if not keeps_episodes(rollout):
        add_statistics(rollout, counted)
    whole = ~(ends & interrupted(rollout)).any(1, keepdim=True)  # [B, 1, 1]
    if not whole.all():
        message = interruption_warning(int((~whole).sum()), len(whole))
        warnings.warn(message, stacklevel=3)  # level 2 is torch.no_grad
    sums = episode_sums(rollout, counted & whole, ends)
    return episode_metrics({name: float(value) for name, value in sums.items()}), rollout


@contextlib.contextmanager
def separate_randomness(device: torch.device | None, seed: int | None) -> Iterator[None]:
    """Restore torch's random generators afterwards: of the CPU and of `device`, no other GPU's.

    Args:
        device: that the block uses besides the CPU; None for none.
        seed: of these generators in the block; None leaves them as they are.
    """
    kind = "cpu" if device is None else device.type
    on_mps = torch.mps.get_rng_state() if kind == "mps" else None
    cuda = [device] if kind == "cuda" else []
    with torch.random.fork_rng(cuda, device_type="cuda"):
        if seed is not None:
            torch.default_generator.manual_seed(seed)
            for gpu in cuda:
                with torch.cuda.device(gpu):
                    torch.cuda.manual_seed(seed)
            if on_mps is not None:
                torch.mps.manual_seed(seed)
        try:
            yield
        finally:
            if on_mps is not None:
                torch.mps.set_rng_state(on_mps)


def add_statistics(rollout: TensorDictBase, counted: Tensor) -> None:
    """Write return and length so far of the first episodes into a rollout `[B, T]`."""
    reward = rollout["next", "agents", "reward"].sum(-2)
    rollout["next", "episode", "return"] = (reward * counted).cumsum(1)
    rollout["next", "episode", "length"] = counted.float().cumsum(1)


def interruption_warning(broken: int, number: int) -> str:
    """The warning for `broken` interrupted episodes out of `number`."""
    left = "they are left out of the means" if broken < number else "there is no return to report"
    return (
        f"{broken} of {number} evaluation episodes were interrupted by a fault of the "
        f"environment; {left}"
    )


def first_episode(done: Tensor) -> tuple[Tensor, Tensor]:
    """Which steps of rollouts that start with an episode belong to the first episode.

    Args:
        done: bool `[B, T, 1]`.

    Returns:
        The steps of the first episode and its last step, bool `[B, T, 1]` each. An episode that
        goes on at step T counts as ended there.
    """
    counted = (done.cumsum(1) - done.int()) == 0
    ends = counted & done
    ends[:, -1] |= counted[:, -1]
    return counted, ends


def keeps_episodes(rollout: TensorDictBase) -> bool:
    """Whether the environment wrote `episode` statistics into this rollout."""
    return ("next", "episode", "return") in rollout.keys(True, True)


def interrupted(rollout: TensorDictBase) -> Tensor:
    """Whether a fault has cut short the episode of each step, bool `[B, T, 1]`."""
    found = rollout["next"].get(("episode", INTERRUPTED), None)
    if found is None:
        return torch.zeros_like(rollout["next", "done"])
    return found > 0


def episode_sums(
    rollout: TensorDictBase, counted: Tensor | None = None, ends: Tensor | None = None
) -> dict[str, Tensor]:
    """Sums from which `episode_metrics` computes means; sums of several processes can be added.

    Args:
        rollout: `[B, T]`.
        counted: bool `[B, T, 1]`, steps whose rewards count; None counts all.
        ends: bool `[B, T, 1]`, steps at which an episode counts as ended; None means `done`.

    Returns:
        `reward` and `entries`, their number; and if the environment writes `episode` statistics,
        `episodes`, the number of ended and uninterrupted episodes, and `episode/NAME`, the sum of
        each statistic over these. `episode/interrupted` counts the interrupted episodes.
    """
    reward = rollout["next", "agents", "reward"]
    done = rollout["next", "done"]
    steps = torch.ones_like(done) if counted is None else counted
    sums = {
        "reward": reward.masked_fill(~steps.unsqueeze(-2), 0).sum(),
        "entries": steps.sum().float() * reward.shape[-2],
    }
    if not keeps_episodes(rollout):
        return sums
    ends = done if ends is None else ends
    whole = ends & ~interrupted(rollout)
    sums["episodes"] = whole.sum().float()
    for name, value in rollout["next", "episode"].items():
        rows = ends if name == INTERRUPTED else whole
        sums[f"episode/{name}"] = value.masked_fill(~rows, 0).sum()  # NaN before it is known
    return sums


def episode_metrics(sums: Mapping[str, float]) -> dict[str, float]:
    """Means from the sums of `episode_sums`.

    A mean over nothing is left out, because NaN among the metrics could be mistaken for a score.

    Returns:
        `reward/agent_step`: mean of r_i over steps and agents; `return/team`: mean over episodes
        of Σ_t Σ_i r_i; `episode/NAME`: means of the other statistics. `episode/interrupted` is
        the share of all ended episodes.
    """
    means = {"reward/agent_step": (sums["reward"], sums["entries"])}
    whole = sums.get("episodes", 0.0)
    broken = sums.get(f"episode/{INTERRUPTED}", 0.0)
    for name, value in sums.items():
        if not name.startswith("episode/"):
            continue
        count = whole + broken if name == f"episode/{INTERRUPTED}" else whole
        metric = "return/team" if name == "episode/return" else name
        means[metric] = (value, count)
    return {name: value / count for name, (value, count) in means.items() if count}
