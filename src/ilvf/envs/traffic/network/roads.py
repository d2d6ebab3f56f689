"""How signals hang together: neighbours, distances, and the lanes upstream of a short approach.

`net` is what `sumolib` reads; only what cars may drive counts.
"""

import math
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from ilvf.envs.traffic.network.lights import Light

VEHICLE = "passenger"
SLACK = 1e-6  # [m] for sums of rounded lengths


def drivable(connection: Any) -> bool:
    lanes = (connection.getFromLane(), connection.getToLane())
    return connection.allows(VEHICLE) and all(lane.allows(VEHICLE) for lane in lanes)


def successors(edge: Any) -> dict[Any, None]:
    """The edges that a car can turn into, in the order of the file."""
    return dict.fromkeys(
        c.getTo() for group in edge.getOutgoing().values() for c in group if drivable(c)
    )


def exits(light: Light) -> dict[Any, None]:
    """The edges that lead away from a signal."""
    return dict.fromkeys(c.getTo() for c in light.connections if drivable(c))


def neighbours(lights: Mapping[str, Light], max_edges: int, max_distance: float) -> np.ndarray:
    """Who can be reached from whom, in one direction or the other, without passing a third signal.

    From each signal along edges until one ends at a signal of `lights` [N]: at most `max_edges`, of at most
    `max_distance` [m] together, the last one included → bool [N, N].
    """
    place = {signal: i for i, signal in enumerate(lights)}
    ends = {c.getFrom(): place[light.id] for light in lights.values() for c in light.connections}
    found = np.zeros((len(lights), len(lights)), dtype=bool)
    for i, light in enumerate(lights.values()):
        reached = _walk(exits(light), ends, max_edges, max_distance)
        found[i, [j for j in reached if j != i]] = True
    return found | found.T


def _walk(
    start: Iterable[Any], ends: Mapping[Any, int], max_edges: int, max_distance: float
) -> set[int]:
    frontier = {edge: edge.getLength() for edge in start}
    reached, best = set(), dict[Any, float]()
    for _ in range(max_edges):
        following = dict[Any, float]()
        for edge, length in frontier.items():
            if length > max_distance + SLACK or length >= best.get(edge, math.inf):
                continue
            best[edge] = length
            if edge in ends:
                reached.add(ends[edge])
                continue
            for after in successors(edge):
                following[after] = min(length + after.getLength(), following.get(after, math.inf))
        frontier = following
    return reached


def distances(net: Any, lights: Mapping[str, Light]) -> np.ndarray:
    """Metres along the roads between signals, in the shorter direction, from the middle of one junction to the next's.

    float [N, N], inf where no road leads. On a grid of straight two-way roads that is the Manhattan distance.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import dijkstra

    edges = {edge: k for k, edge in enumerate(net.getEdges(withInternal=False))}
    n, size = len(lights), len(edges) + len(lights)  # a node each for edges, then signals
    steps = {(k, edges[f]): _centre_length(f) for e, k in edges.items() for f in successors(e)}
    for i, light in enumerate(lights.values()):
        steps |= {(len(edges) + i, edges[f]): _centre_length(f) for f in exits(light)}
    rows, columns = zip(*steps, strict=True) if steps else ((), ())
    graph = csr_matrix((list(steps.values()), (rows, columns)), shape=(size, size))
    along = dijkstra(graph, indices=range(len(edges), size))
    found = np.zeros((n, n))
    for j, light in enumerate(lights.values()):
        approaches = sorted({edges[c.getFrom()] for c in light.connections})
        found[:, j] = along[:, approaches].min(1)
    np.fill_diagonal(found, 0.0)
    return np.minimum(found, found.T)


def _centre_length(edge: Any) -> float:
    ends = edge.getFromNode().getCoord(), edge.getToNode().getCoord()
    points = [ends[0], *(point[:2] for point in edge.getRawShape()[1:-1]), ends[1]]
    return sum(math.dist(a, b) for a, b in pairwise(points))


def extension(lane: Any, cover: float) -> tuple[Any, ...]:
    """The lanes before a lane that is shorter than `cover` [m], nearest first.

    Backwards along every way that no traffic light controls, each until it is `cover` long, the lane included.
    """
    found = dict[Any, None]()
    queue = [(lane, lane.getLength())]
    for last, covered in queue:
        if covered >= cover:
            continue
        for connection in last.getIncomingConnections():
            before = connection.getFromLane()
            if (
                connection.getTLSID()
                or not drivable(connection)
                or before is lane
                or before in found
            ):
                continue
            found[before] = None
            queue.append((before, covered + before.getLength()))
    return tuple(found)
