"""The picture of an episode of traffic."""

from typing import Any

import torch
from tensordict import TensorDictBase
from torch import Tensor

from ilvf.envs.pictures import first_end


def draw_episode(frames: TensorDictBase, seconds: float) -> Any:
    """Queue, speed and rewards over the first episode of a rollout.

    Args:
        frames: a rollout `[T]`.
        seconds: length of a step [s].

    Returns:
        A matplotlib figure.
    """
    from matplotlib.figure import Figure

    end = first_end(frames["next", "done"])
    episode = frames["next", "episode"][:end].cpu()
    reward = frames["next", "agents", "reward"][:end].squeeze(-1).cpu()
    minutes = seconds / 60 * torch.arange(1, end + 1)
    figure = Figure(figsize=(7, 6), layout="constrained")
    above, middle, below = figure.subplots(3, sharex=True)
    above.plot(minutes, each_step(episode["queue"], torch.ones(end)), lw=1)
    above.set_ylabel("halting vehicles\nper approach lane")
    middle.plot(minutes, each_step(episode["speed"], episode["running"]), lw=1)
    middle.set_ylabel("speed [m/s]")
    below.plot(minutes, reward, lw=0.6, color="0.6", alpha=0.5)
    below.plot(minutes, reward.mean(-1), lw=1.5, color="C3")
    below.set_ylabel("reward of the signals,\nand its mean")
    below.set_xlabel("minutes")
    return figure


def each_step(mean: Tensor, weight: Tensor) -> Tensor:
    """The values of single steps, from their weighted means so far.

    Args:
        mean: Σ_{u≤t} weight_u value_u ÷ Σ_{u≤t} weight_u, `[T]` or `[T, 1]`.
        weight: `[T]` or `[T, 1]`.

    Returns:
        float64 `[T]`; NaN where the weight is 0.
    """
    weight = weight.flatten().double()
    sums = mean.flatten() * weight.cumsum(0)
    return sums.diff(prepend=weight.new_zeros(1)) / weight
