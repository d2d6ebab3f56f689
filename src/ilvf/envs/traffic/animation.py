"""Episodes of traffic on the map, as GIFs: the cost of every signal, or the queues on all lanes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ilvf.envs.animation import write_gif
from ilvf.envs.traffic.network.maps import (
    LANE,
    Roads,
    draw_roads,
    label_signals,
    lanes_collection,
    queue_colours,
    roads_of,
)
from ilvf.envs.traffic.network.network import Network

SIGNAL = 110  # area of a signal [square points]; of networks with many signals less
FEW = 50  # signals


def animate_costs(network: Network, reward: np.ndarray, interval: float, path: Path | str) -> None:
    """Write what the signals pay in every step as a GIF.

    Args:
        network: the roads.
        reward: r_i `[T, N]`.
        interval: length of a step [s].
        path: of the GIF.
    """
    write_gif(CostScene(network, reward, interval), len(reward) - 1, path)


def animate_queues(
    network: Network, queues: Mapping[str, np.ndarray], interval: float, path: Path | str
) -> None:
    """Write the queues of several policies as a GIF, side by side.

    Args:
        network: the roads.
        queues: name → halting vehicles on each lane of `network.lanes`, `[T, M]`.
        interval: length of a step [s].
        path: of the GIF.
    """
    steps = min(len(queue) for queue in queues.values())
    write_gif(QueueScene(network, queues, interval), steps - 1, path)


class CostScene:
    """The map with signals coloured by minus their reward.

    Args:
        network, reward, interval: as in `animate_costs`.

    Attributes:
        figure: of matplotlib.
        moving: artists that change from step to step.
    """

    def __init__(self, network: Network, reward: np.ndarray, interval: float):
        from matplotlib.figure import Figure

        self.cost = -reward
        self.interval = interval
        self.figure = Figure(figsize=(6, 5.4), layout="constrained")
        self.title = self.figure.suptitle(" ", fontsize=10)
        axes = self.figure.add_subplot()
        draw_roads(axes, network, roads_of(network), {}, 1.0)
        x, y = zip(*(signal.position for signal in network.signals), strict=True)
        size = SIGNAL if len(x) < FEW else SIGNAL / 4
        style: Any = {"cmap": queue_colours(), "edgecolor": "0.25", "zorder": 4}
        self.dots: Any = axes.scatter(x, y, size, self.cost[0], **style)
        self.dots.set_clim(0, max(1e-6, float(self.cost.max())))
        self.figure.colorbar(self.dots, ax=axes, label="minus the reward of the signal", shrink=0.6)
        label_signals(axes, network)
        self.moving: list[Any] = [self.dots, self.title]

    def show(self, t: int) -> None:
        """Show step t."""
        self.dots.set_array(self.cost[t])
        total = self.cost[t].sum()
        self.title.set_text(f"minute {minutes(t, self.interval)}: {total:.0f} paid by all signals")


class QueueScene:
    """A map for each policy with lanes coloured by their queues, the same colours in all.

    Args:
        network, queues, interval: as in `animate_queues`.

    Attributes:
        figure: of matplotlib.
        moving: artists that change from step to step.
    """

    def __init__(self, network: Network, queues: Mapping[str, np.ndarray], interval: float):
        from matplotlib.figure import Figure

        self.queues = dict(queues)
        self.interval = interval
        self.figure = Figure(figsize=(3.6 * len(queues) + 0.8, 4.3), layout="constrained")
        self.title = self.figure.suptitle(" ", fontsize=10)
        places = self.figure.subplots(1, len(queues), squeeze=False)[0]
        roads = roads_of(network)
        most = max(1.0, *(float(queue.max()) for queue in queues.values()))
        self.lanes = [self._draw_map(axes, network, roads, most) for axes in places]
        self.names = [axes.set_title(" ", fontsize=9, y=1.0) for axes in places]
        self.figure.colorbar(self.lanes[-1], ax=list(places), label="halting vehicles", shrink=0.6)
        for axes in places:
            label_signals(axes, network)
        drawn = [collection for axes in places for collection in axes.collections]
        self.moving = [*drawn, *self.names, self.title]  # lanes do not cover the signals

    def _draw_map(self, axes: Any, network: Network, roads: Roads, most: float) -> Any:
        """The roads, and the lanes that change their colour."""
        draw_roads(axes, network, roads, {}, most)
        self.shown = [k for k, lane in enumerate(network.lanes) if lane in roads.lanes]
        lines = [roads.lanes[network.lanes[k]] for k in self.shown]
        collection = lanes_collection(lines, most)
        collection.set_array(np.zeros(len(lines)))
        return axes.add_collection(collection)

    def show(self, t: int) -> None:
        """Show step t."""
        for lanes, name, (policy, queue) in zip(
            self.lanes, self.names, self.queues.items(), strict=True
        ):
            halting = queue[t][self.shown]
            lanes.set_array(halting)
            lanes.set_linewidths(np.where(halting > 0, LANE, 0.0))
            name.set_text(f"{policy}: {queue[t].sum():.0f} vehicles halting")
        self.title.set_text(f"minute {minutes(t, self.interval)}")


def minutes(t: int, interval: float) -> str:
    """The time at the end of step t."""
    return f"{(t + 1) * interval / 60:.1f}"
