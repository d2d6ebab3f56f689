"""The picture of CACC."""

from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor

from ilvf.envs.cacc.physics import CRASH_HEADWAY, DT, HEADWAY, SPEED, ahead


def first_episode(frames: TensorDictBase, key: NestedKey) -> Tensor:
    """An entry until the end of the first episode, `[T + 1, ...]`, of a rollout `[T]`, or of frames without `next`."""
    if not isinstance(frames.get("next", None), TensorDictBase):
        return frames[key]
    done = frames["next", "done"].flatten()
    end = int(done.int().argmax()) + 1 if done.any() else len(done)
    return torch.cat([frames[key][:end], frames["next"][key][end - 1 : end]])


def physical(state: Tensor, lead: Tensor) -> tuple[Tensor, Tensor]:
    """(headway [m], speed [m/s]), `[T, N]` each, from states `[T, N, 5]` and the lead's speed [m/s] `[T, 1]`."""
    speed = SPEED * (1 + state[..., 0])
    headway = HEADWAY * (1 + state[..., 3]) - DT * (ahead(lead[:, 0], speed) - speed)
    return headway, speed


def draw_platoon(state: Tensor, lead: Tensor, dt: float) -> Any:
    """Headway and speed over time, from states `[T, N, 5]` and the lead's speed `[T, 1]`, one row every `dt` [s]."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    headway, speed = physical(state, lead)
    figure = Figure(figsize=(7, 5.5), layout="constrained")
    upper, lower = figure.subplots(2, sharex=True)
    time, n = dt * torch.arange(len(headway)), headway.shape[1]
    marker = "o" if len(time) == 1 else ""
    for i in range(n):
        color = colormaps["viridis"](i / n)
        upper.plot(
            time, headway[:, i], color=color, lw=1.2, marker=marker, label=f"vehicle {i + 1}"
        )
        lower.plot(time, speed[:, i], color=color, lw=1.2, marker=marker)
    lower.plot(time, lead[:, 0], "--", color="0.3", lw=1, marker=marker, label="lead")
    upper.axhline(CRASH_HEADWAY, color="C3", lw=1, label="collision")
    for axes, wanted in ((upper, HEADWAY), (lower, SPEED)):
        axes.axhline(wanted, ls=":", color="0.5", lw=1)
    crash = (headway < CRASH_HEADWAY).any(-1)
    if crash.any():
        when = float(time[int(crash.int().argmax())])
        for axes in (upper, lower):
            axes.axvline(when, color="C3", lw=1)
        upper.set_title(f"collision after {when:.1f} s", color="C3", fontsize=10)
    upper.set_ylabel("headway [m]")
    lower.set_ylabel("speed [m/s]")
    lower.set_xlabel("time [s]")
    figure.legend(loc="outside right upper", fontsize=8)
    return figure
