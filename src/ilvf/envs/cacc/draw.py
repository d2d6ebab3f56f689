"""The picture of CACC: headways and speeds over time."""

from typing import Any

import torch
from torch import Tensor

from ilvf.envs.cacc.physics import CRASH_HEADWAY, DT, Targets, speed_in_front


def headways_and_speeds(state: Tensor, lead: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
    """(headways [m], speeds [m/s]) `[T, N]`, worked back from the states.

    Args:
        state: `[T, N, 5]`.
        lead: speed of the lead vehicle, `[T, 1]` [m/s].
        targets: h* and v*, which are units of the states.
    """
    speed = targets.speed * (1 + state[..., 0])
    closing = speed_in_front(lead[:, 0], speed) - speed
    headway = targets.headway * (1 + state[..., 3]) - DT * closing
    return headway, speed


def draw_platoon(state: Tensor, lead: Tensor, dt: float, targets: Targets) -> Any:
    """A matplotlib figure of every vehicle's headway and speed over time.

    Args:
        state: `[T, N, 5]`.
        lead: speed of the lead vehicle, `[T, 1]` [m/s].
        dt: time between two rows [s].
        targets: h* and v*, drawn as dotted lines.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    headway, speed = headways_and_speeds(state, lead, targets)
    figure = Figure(figsize=(7, 5.5), layout="constrained")
    upper, lower = figure.subplots(2, sharex=True)
    time = dt * torch.arange(len(headway))
    n = headway.shape[1]
    marker = "o" if len(time) == 1 else ""
    for i in range(n):
        style = {"color": colormaps["viridis"](i / n), "lw": 1.2, "marker": marker}
        upper.plot(time, headway[:, i], label=f"vehicle {i + 1}", **style)
        lower.plot(time, speed[:, i], **style)
    lower.plot(time, lead[:, 0], "--", color="0.3", lw=1, marker=marker, label="lead")
    upper.axhline(CRASH_HEADWAY, color="C3", lw=1, label="collision")
    upper.axhline(targets.headway, ls=":", color="0.5", lw=1)
    lower.axhline(targets.speed, ls=":", color="0.5", lw=1)
    _mark_collision(upper, lower, time, headway)
    upper.set_ylabel("headway [m]")
    lower.set_ylabel("speed [m/s]")
    lower.set_xlabel("time [s]")
    figure.legend(loc="outside right upper", fontsize=8)
    return figure


def _mark_collision(upper: Any, lower: Any, time: Tensor, headway: Tensor) -> None:
    """A red line at the first collision, and a title that says when it was."""
    collided = (headway < CRASH_HEADWAY).any(-1)
    if not collided.any():
        return
    when = float(time[int(collided.int().argmax())])
    upper.axvline(when, color="C3", lw=1)
    lower.axvline(when, color="C3", lw=1)
    upper.set_title(f"collision after {when:.1f} s", color="C3", fontsize=10)
