"""The picture of an episode of traffic."""

from typing import Any

import torch
from tensordict import TensorDictBase
from torch import Tensor


def draw_episode(frames: TensorDictBase, seconds: float) -> Any:
    """Queue, speed and rewards over the first episode of a rollout `[T]`, a step every `seconds`."""
    from matplotlib.figure import Figure

    done = frames["next", "done"].flatten()
    end = int(done.int().argmax()) + 1 if done.any() else len(done)
    episode = frames["next", "episode"][:end].cpu()
    minutes = seconds / 60 * torch.arange(1, end + 1)
    reward = frames["next", "agents", "reward"][:end].squeeze(-1).cpu()
    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.subplots(3, sharex=True)
    axes[0].plot(minutes, each_step(episode["queue"], torch.ones(end)), lw=1)
    axes[0].set_ylabel("halting vehicles\nper approach lane")
    axes[1].plot(minutes, each_step(episode["speed"], episode["running"]), lw=1)
    axes[1].set_ylabel("speed [m/s]")
    axes[2].plot(minutes, reward, lw=0.6, color="0.6", alpha=0.5)
    axes[2].plot(minutes, reward.mean(-1), lw=1.5, color="C3")
    axes[2].set_ylabel("reward of the signals,\nand its mean")
    axes[2].set_xlabel("minutes")
    return figure


def each_step(mean: Tensor, weight: Tensor) -> Tensor:
    """The values of which these are the weighted means so far, `[T]`; NaN where the weight is 0."""
    weight = weight.flatten().double()
    return (mean.flatten() * weight.cumsum(0)).diff(prepend=weight.new_zeros(1)) / weight
