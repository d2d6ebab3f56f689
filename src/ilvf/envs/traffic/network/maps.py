"""Pictures of a road network: where vehicles queue, who influences whom."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ilvf.envs.traffic.network.network import Network, read_file
from ilvf.errors import require

ROAD = "0.82"  # colour of lanes without a queue
QUEUES = (ROAD, "gold", "orangered", "darkred")
ARROWS = ("lightsteelblue", "steelblue", "midnightblue")
SPREAD = 0.0065  # lanes are drawn this far apart, of the map's width: true to scale they would cover each other
Queue = (
    Mapping[str, float] | Sequence[float] | np.ndarray
)  # by lane id, or in the order of `network.lanes`
Lines = dict[str, np.ndarray]  # lane → points [P, 2] [m]


def draw_map(
    network: Network,
    queue: Queue | None = None,
    influence: Any = None,
    axes: Any = None,
    *,
    threshold: float = 0.1,
    arrows: int | None = None,
) -> Any:
    """The figure of a network's lanes and signals.

    Args:
        network: the roads.
        queue: halting vehicles on each approach lane, which colour it.
        influence: [N, N], row = acting signal: an arrow i → j for every weight, the heavier the darker.
        axes: where to draw; a new figure without.
        threshold: weights up to this one have no arrow, so that a map does not drown in them.
        arrows: of the others only so many, the heaviest.
    """
    from matplotlib.figure import Figure

    if axes is None:
        axes = Figure(figsize=(7, 6.5), layout="constrained").subplots()
    by_lane = _by_lane(network, queue)
    most = max(1.0, *by_lane.values(), 0.0)
    scale = _draw_roads(axes, network, _lines(network), by_lane, most)
    if queue is None and influence is None:
        for signal in network.signals:
            axes.annotate(
                signal.id, signal.position, (4, 4), textcoords="offset points", fontsize=8
            )
    if influence is not None:
        _draw_influence(axes, network, np.asarray(influence, dtype=float), threshold, arrows)
    if queue is not None:
        axes.figure.colorbar(scale, ax=axes, label="halting vehicles", shrink=0.6)
    return axes.figure


def draw_side_by_side(network: Network, queues: Mapping[str, Queue]) -> Any:
    """A map for each name → queue, all in the same colours: `{"learned": queue, "fixed cycle": queue}`."""
    from matplotlib.figure import Figure

    require(
        bool(queues),
        'there is no queue to draw; need some, such as {"learned": queue, "fixed cycle": queue}',
    )
    by_lane = {name: _by_lane(network, queue) for name, queue in queues.items()}
    most = max(1.0, *(n for found in by_lane.values() for n in found.values()))
    figure = Figure(figsize=(5 * len(queues) + 0.8, 5.4), layout="constrained")
    places, lines = figure.subplots(1, len(queues), squeeze=False)[0], _lines(network)
    for axes, (name, found) in zip(places, by_lane.items(), strict=True):
        scale = _draw_roads(axes, network, lines, found, most)
        axes.set_title(f"{name}: {sum(found.values()):.0f} vehicles halting", fontsize=10)
    figure.colorbar(scale, ax=list(places), label="halting vehicles", shrink=0.6)
    return figure


def show(network: Network, picture: Path) -> None:
    """Print what every signal decides about and what is odd, and draw the map."""
    width = max(len(signal.id) for signal in network.signals)
    print(f"{'signal':<{width}}  phases  links  lanes  neighbours")
    for signal, row in zip(network.signals, network.neighbours, strict=True):
        near = " ".join(network.signals[j].id for j in np.flatnonzero(row)) or "-"
        counts = f"{len(signal.phases):>6}  {len(signal.link_lanes):>5}  {len(signal.lanes):>5}"
        print(f"{signal.id:<{width}}  {counts}  {near}")
    for note in network.notes:
        print("note:", note)
    draw_map(network).savefig(picture, dpi=120)
    print(f"{picture} shows where they are")


def _by_lane(network: Network, queue: Queue | None) -> dict[str, float]:
    if queue is None:
        return {}
    lanes = network.lanes
    if isinstance(queue, Mapping):
        unknown = [lane for lane in queue if lane not in lanes]
        require(
            not unknown,
            f"the queue has lanes that lead to no signal: {', '.join(map(str, unknown[:5]))}",
        )
        return {str(lane): float(n) for lane, n in queue.items()}
    values = np.asarray(queue, dtype=float)
    fits = values.shape == (len(lanes),)
    require(
        fits,
        f"the queue has shape {values.shape}, need one number for each of the {len(lanes)} network.lanes",
    )
    return dict(zip(lanes, values.tolist(), strict=True))


def _lines(network: Network) -> Lines:
    """What cars drive on, as it is drawn: every lane to the right of its place, the rightmost furthest."""
    edges = [
        e for e in read_file(network.net_file).getEdges(withInternal=False) if e.allows("passenger")
    ]
    true = {
        lane: np.array(lane.getShape())
        for edge in edges
        for lane in edge.getLanes()
        if lane.allows("passenger")
    }
    width = float(np.ptp(np.concatenate([*true.values()]), axis=0).max())
    spread = min(SPREAD * width, 0.04 * float(np.median([lane.getLength() for lane in true])))
    found = {}
    for lane, points in true.items():
        along = np.gradient(points, axis=0)
        right = np.stack([along[:, 1], -along[:, 0]], 1) / np.linalg.norm(
            along, axis=1, keepdims=True
        ).clip(1e-9)
        place = lane.getEdge().getLaneNumber() - lane.getIndex() - 0.5
        found[lane.getID()] = points + spread * place * right
    return found


def _draw_roads(
    axes: Any, network: Network, lines: Lines, queue: Mapping[str, float], most: float
) -> Any:
    """Lanes, coloured up to `most` vehicles, and signals; what a colour bar needs."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import LinearSegmentedColormap

    queued = sorted(
        (lane for lane, n in queue.items() if n > 0 and lane in lines), key=queue.__getitem__
    )
    axes.add_collection(
        LineCollection(
            [line for lane, line in lines.items() if lane not in queued], colors=ROAD, lw=1
        )
    )
    colours = LinearSegmentedColormap.from_list("queues", QUEUES)
    scale = LineCollection(
        [lines[lane] for lane in queued], cmap=colours, lw=2.2, zorder=2
    )  # the longest on top
    scale.set_array(np.array([queue[lane] for lane in queued]))
    scale.set_clim(0, most)
    axes.add_collection(scale)
    x, y = zip(*(signal.position for signal in network.signals), strict=True)
    axes.scatter(x, y, s=30 if len(x) < 50 else 8, color="0.25", zorder=3)
    axes.margins(0.02)
    axes.set_aspect("equal")
    axes.set_axis_off()
    return scale


def _draw_influence(
    axes: Any, network: Network, influence: np.ndarray, threshold: float, arrows: int | None
) -> None:
    """Arrows i → j, bent so that both directions can be seen."""
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
    least, most = weights[*pairs[-1]], weights[*pairs[0]]
    limits = Normalize(least if least < most else 0.0, most)
    scale = ScalarMappable(limits, LinearSegmentedColormap.from_list("arrows", ARROWS))
    look = {
        "arrowstyle": "-|>",
        "connectionstyle": "arc3,rad=0.15",
        "lw": 1.6,
        "mutation_scale": 11,
    }
    for i, j in reversed(pairs):  # the heaviest on top
        start, end = network.signals[i].position, network.signals[j].position
        arrow = {**look, "color": scale.to_rgba(weights[i, j]), "shrinkA": 3, "shrinkB": 4}
        axes.annotate("", end, start, arrowprops=arrow, zorder=2.5)
    axes.figure.colorbar(scale, ax=axes, label="influence", shrink=0.6)
