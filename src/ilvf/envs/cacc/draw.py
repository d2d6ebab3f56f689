"""The picture of CACC: headways and speeds over time."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ilvf.envs.animation import write_gif
from ilvf.envs.cacc.physics import CRASH_HEADWAY, DT, Targets, speed_in_front
from ilvf.envs.names import counted_from_1

VEHICLE = 8  # size of a vehicle [points]


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
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5.5), layout="constrained")
    upper, lower = figure.subplots(2, sharex=True)
    _draw_curves(upper, lower, state, lead, dt, targets)
    figure.legend(loc="outside right upper", fontsize=8)
    return figure


def animate(state: Tensor, lead: Tensor, dt: float, targets: Targets, path: Path | str) -> None:
    """Write an episode as a GIF.

    Args:
        state, lead, dt, targets: as in `draw_platoon`.
        path: of the GIF.
    """
    write_gif(Scene(state, lead, dt, targets), len(state) - 1, path)


class Scene:
    """The vehicles on their lane above the curves of `draw_platoon`, at any step of an episode.

    Args:
        state, lead, dt, targets: as in `draw_platoon`.

    Attributes:
        figure: of matplotlib.
        moving: artists that change from step to step.
    """

    def __init__(self, state: Tensor, lead: Tensor, dt: float, targets: Targets):
        from matplotlib.figure import Figure

        headway, _ = headways_and_speeds(state, lead, targets)
        self.behind = headway.cumsum(-1).numpy()  # [T, N], distance from the lead [m]
        self.dt = dt
        self.figure = Figure(figsize=(7, 5.4), layout="constrained")
        road, upper, lower = self.figure.subplots(3, height_ratios=(1, 2, 2))
        self.title = self.figure.suptitle(" ", fontsize=10)
        self._draw_road(road)
        _draw_curves(upper, lower, state, lead, dt, targets)
        upper.tick_params(labelbottom=False)
        self.figure.legend(loc="outside right upper", fontsize=8)
        now = {"color": "0.3", "lw": 0.8, "zorder": 3}
        self.times = [axes.axvline(0, **now) for axes in (upper, lower)]
        self.moving = [*self.vehicles, *self.numbers, *self.times, self.title]

    def _draw_road(self, road: Any) -> None:
        """The lane, seen from the lead vehicle, which drives to the right."""
        n = self.behind.shape[1]
        road.plot([0], [0], ">", color="0.3", ms=VEHICLE, label="_")
        road.annotate("lead", (0, 0), (0, 9), textcoords="offset points", ha="center", fontsize=8)
        road.set(xlim=(-1.05 * float(self.behind.max()), 0.05 * float(self.behind.max())))
        road.set(ylim=(-1, 1.6), yticks=[], xlabel="metres behind the lead vehicle")
        road.xaxis.set_major_formatter(lambda x, _: f"{abs(x):g}")
        colours = vehicle_colours(n)
        self.vehicles = [road.plot([], [], ">", color=c, ms=VEHICLE)[0] for c in colours]
        style = {"ha": "center", "va": "bottom", "fontsize": 7}
        self.numbers = [road.text(0, 0.55, name, **style) for name in counted_from_1(n)]

    def show(self, t: int) -> None:
        """Show step t."""
        for place, vehicle, number in zip(
            -self.behind[t], self.vehicles, self.numbers, strict=True
        ):
            vehicle.set_data([place], [0])
            number.set_x(place)
        for line in self.times:
            line.set_xdata([t * self.dt] * 2)
        self.title.set_text(f"{t * self.dt:.1f} of {(len(self.behind) - 1) * self.dt:.1f} s")


def vehicle_colours(n: int) -> list[Any]:
    """One colour a vehicle, from dark in front to light behind."""
    from matplotlib import colormaps

    return [colormaps["viridis"](i / n) for i in range(n)]


def _draw_curves(
    upper: Any, lower: Any, state: Tensor, lead: Tensor, dt: float, targets: Targets
) -> None:
    """Headways above, speeds below."""
    headway, speed = headways_and_speeds(state, lead, targets)
    time = dt * torch.arange(len(headway))
    marker = "o" if len(time) == 1 else ""
    for i, colour in enumerate(vehicle_colours(headway.shape[1])):
        style = {"color": colour, "lw": 1.2, "marker": marker}
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


def _mark_collision(upper: Any, lower: Any, time: Tensor, headway: Tensor) -> None:
    """A red line at the first collision, and a title that says when it was."""
    collided = (headway < CRASH_HEADWAY).any(-1)
    if not collided.any():
        return
    when = float(time[int(collided.int().argmax())])
    upper.axvline(when, color="C3", lw=1)
    lower.axvline(when, color="C3", lw=1)
    upper.set_title(f"collision after {when:.1f} s", color="C3", fontsize=10)
