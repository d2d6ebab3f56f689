"""Maps of a road network: where vehicles queue, and which signals influence which."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ilvf.envs.traffic.network.labels import label_points
from ilvf.envs.traffic.network.network import Network
from ilvf.envs.traffic.network.read import read_file
from ilvf.envs.traffic.network.roads import drivable
from ilvf.errors import require

ROAD = "0.82"  # colour of lanes without a queue
QUEUE_COLOURS = (ROAD, "gold", "orangered", "darkred")
ARROW_COLOURS = ("lightsteelblue", "steelblue", "midnightblue")
MOST_BESIDE = 3  # maps in a row
LANE = 2.2  # width of a lane with a queue [points]
LABEL = 7  # size of the signals' names [points]
SPREAD = 0.0065  # distance of lanes on the map ÷ its width; true to scale they would overlap

Queue = Mapping[str, float] | Sequence[float] | np.ndarray  # by lane, or as `network.lanes`


@dataclass(frozen=True)
class Roads:
    """The roads as they are drawn.

    Attributes:
        lanes: lane → points `[P, 2]` [m].
        joins: points `[2, 2]` of each connection over a junction, from lane to lane.
    """

    lanes: dict[str, np.ndarray]
    joins: list[np.ndarray]


def draw_map(
    network: Network,
    queue: Queue | None = None,
    influence: Any = None,
    axes: Any = None,
    *,
    threshold: float = 0.1,
    arrows: int | None = None,
) -> Any:
    """A map of a network's lanes and signals.

    Signals are labelled by their ids.

    Args:
        network: the roads.
        queue: halting vehicles on each approach lane; lanes are coloured by it.
        influence: `[N, N]`, row = acting signal, column = signal whose return it moves. An arrow
            i → j is drawn for every weight; a larger weight has a darker arrow.
        axes: where to draw; None makes a new figure.
        threshold: weights up to this value have no arrow.
        arrows: number of arrows, the largest weights; None for all.

    Returns:
        The matplotlib figure.
    """
    from matplotlib.figure import Figure

    if axes is None:
        axes = Figure(figsize=(7, 6.5), layout="constrained").subplots()
    by_lane = queue_by_lane(network, queue)
    most = max(1.0, *by_lane.values(), 0.0)
    scale = draw_roads(axes, network, roads_of(network), by_lane, most)
    if influence is not None:
        draw_influence(axes, network, np.asarray(influence, dtype=float), threshold, arrows)
    if queue is not None:
        axes.figure.colorbar(scale, ax=axes, label="halting vehicles", shrink=0.6)
    label_signals(axes, network)
    return axes.figure


def label_signals(axes: Any, network: Network) -> None:
    """Write the ids of all signals; whatever else is in the picture must be there before."""
    places = {signal.id: signal.position for signal in network.signals}
    label_points(axes, list(places), list(places.values()), LABEL)


def draw_side_by_side(network: Network, queues: Mapping[str, Queue], title: str = "") -> Any:
    """One map for each name → queue, with the same colours in all maps.

    Args:
        network: the roads.
        queues: for example `{"learned": queue, "fixed cycle": queue}`.
        title: of all maps.
    """
    from matplotlib.figure import Figure

    require(
        bool(queues),
        'there is no queue to draw; need some, such as {"learned": queue, "fixed cycle": queue}',
    )
    by_name = {name: queue_by_lane(network, queue) for name, queue in queues.items()}
    most = max(1.0, *(n for by_lane in by_name.values() for n in by_lane.values()))
    columns = min(len(queues), MOST_BESIDE)
    rows = -(-len(queues) // columns)
    figure = Figure(figsize=(5 * columns + 0.8, 5.2 * rows + 0.2), layout="constrained")
    figure.suptitle(title, fontsize=11, parse_math=False)
    places = list(figure.subplots(rows, columns, squeeze=False).flat)
    used = places[: len(queues)]
    roads = roads_of(network)
    for axes, (name, by_lane) in zip(used, by_name.items(), strict=True):
        scale = draw_roads(axes, network, roads, by_lane, most)
        axes.set_title(f"{name}: {sum(by_lane.values()):.0f} vehicles halting", fontsize=10)
    for axes in places[len(queues) :]:
        axes.set_axis_off()
    figure.colorbar(scale, ax=places, label="halting vehicles", shrink=0.6 / rows)
    for axes in used:
        label_signals(axes, network)
    return figure


# ---------------------------------------------------------------------- what is drawn
def queue_by_lane(network: Network, queue: Queue | None) -> dict[str, float]:
    """Approach lane → halting vehicles.

    Raises:
        UsageError: unknown lanes, or not one number per lane of `network.lanes`.
    """
    if queue is None:
        return {}
    lanes = network.lanes
    if isinstance(queue, Mapping):
        unknown = [str(lane) for lane in queue if lane not in lanes]
        require(
            not unknown,
            f"the queue has lanes that lead to no signal: {', '.join(unknown[:5])}",
        )
        return {str(lane): float(n) for lane, n in queue.items()}
    values = np.asarray(queue, dtype=float)
    require(
        values.shape == (len(lanes),),
        f"the queue has shape {values.shape}, need one number for each of the {len(lanes)} "
        "network.lanes",
    )
    return dict(zip(lanes, values.tolist(), strict=True))


def roads_of(network: Network) -> Roads:
    """The lanes that cars use, each shifted to the right of its road's axis, and their connections.

    The rightmost lane is shifted furthest, so that lanes and directions do not overlap.
    """
    edges = read_file(network.net_file).getEdges(withInternal=False)
    shapes = {
        lane: np.array(lane.getShape())
        for edge in edges
        for lane in edge.getLanes()
        if edge.allows("passenger") and lane.allows("passenger")
    }
    width = float(np.ptp(np.concatenate(list(shapes.values())), axis=0).max())
    median_length = float(np.median([lane.getLength() for lane in shapes]))
    spread = min(SPREAD * width, 0.04 * median_length)
    lines = {}
    for lane, points in shapes.items():
        along = np.gradient(points, axis=0)
        right = np.stack([along[:, 1], -along[:, 0]], 1)
        right /= np.linalg.norm(along, axis=1, keepdims=True).clip(1e-9)
        place = lane.getEdge().getLaneNumber() - lane.getIndex() - 0.5
        lines[lane.getID()] = points + spread * place * right
    ways = [way for lane in shapes for way in lane.getOutgoing() if drivable(way)]
    joins = []
    for way in ways:
        before = lines[way.getFromLane().getID()]
        after = lines[way.getToLane().getID()]
        joins.append(np.stack([before[-1], after[0]]))
    return Roads(lines, joins)


# ---------------------------------------------------------------------- how it is drawn
def draw_roads(
    axes: Any, network: Network, roads: Roads, queue: Mapping[str, float], most: float
) -> Any:
    """Draw lanes and signals. Colours go up to `most` vehicles.

    Returns:
        The coloured lanes, from which a colour bar can be made.
    """
    from matplotlib.collections import LineCollection

    lines = roads.lanes
    queued = [lane for lane, n in queue.items() if n > 0 and lane in lines]
    queued.sort(key=queue.__getitem__)  # the longest queue is drawn on top
    empty = [line for lane, line in lines.items() if lane not in queued]
    axes.add_collection(LineCollection([*empty, *roads.joins], colors=ROAD, lw=1))
    scale = lanes_collection([lines[lane] for lane in queued], most)
    scale.set_array(np.array([queue[lane] for lane in queued]))
    axes.add_collection(scale)
    x, y = zip(*(signal.position for signal in network.signals), strict=True)
    axes.scatter(x, y, s=30 if len(x) < 50 else 8, color="0.25", zorder=3)
    axes.margins(0.02)
    axes.set_aspect("equal")
    axes.set_axis_off()
    return scale


def lanes_collection(lines: Sequence[np.ndarray], most: float) -> Any:
    """Lanes that are coloured by their queues, of up to `most` vehicles."""
    from matplotlib.collections import LineCollection

    collection = LineCollection(list(lines), cmap=queue_colours(), lw=LANE, zorder=2)
    collection.set_clim(0, most)
    return collection


def queue_colours() -> Any:
    """From grey to dark red."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("queues", QUEUE_COLOURS)


def draw_influence(
    axes: Any, network: Network, influence: np.ndarray, threshold: float, arrows: int | None
) -> None:
    """Draw arrows i → j, bent so that both directions are visible, the largest weight on top."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    n = len(network.signals)
    require(
        influence.shape == (n, n),
        f"the influence has shape {influence.shape}, need {(n, n)}: signals by signals",
    )
    weights = np.where(np.eye(n, dtype=bool), 0.0, influence)
    pairs = sorted(np.argwhere(weights > threshold), key=lambda pair: -weights[*pair])[:arrows]
    if not pairs:
        return
    limits = Normalize(0.0, weights[*pairs[0]])
    scale = ScalarMappable(limits, LinearSegmentedColormap.from_list("arrows", ARROW_COLOURS))
    for i, j in reversed(pairs):
        arrow = {
            "arrowstyle": "-|>",
            "connectionstyle": "arc3,rad=0.15",
            "color": scale.to_rgba(weights[i, j]),
            "lw": 1.6,
            "mutation_scale": 11,
            "shrinkA": 3,
            "shrinkB": 4,
        }
        start = network.signals[i].position
        end = network.signals[j].position
        axes.annotate("", end, start, arrowprops=arrow, zorder=2.5)
    axes.figure.colorbar(scale, ax=axes, label="influence", shrink=0.6)
