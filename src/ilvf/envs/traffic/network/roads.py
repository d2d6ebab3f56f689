"""Relations between signals by road: neighbours, distances, lanes upstream of a short approach.

`net` is sumolib's network. Only connections and lanes that cars may use count.
"""

import math
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from ilvf.envs.traffic.network.lights import Light

VEHICLE = "passenger"
SLACK = 1e-6  # [m], for sums of rounded lengths


def drivable(connection: Any) -> bool:
    """Whether a car may use a connection and both of its lanes."""
    lanes = (connection.getFromLane(), connection.getToLane())
    return connection.allows(VEHICLE) and all(lane.allows(VEHICLE) for lane in lanes)


def successors(edge: Any) -> dict[Any, None]:
    """The edges that a car can turn into, in the order of the file."""
    found: dict[Any, None] = {}
    for connections in edge.getOutgoing().values():
        for connection in connections:
            if drivable(connection):
                found[connection.getTo()] = None
    return found


def exits(light: Light) -> dict[Any, None]:
    """The edges that lead away from a signal."""
    return dict.fromkeys(c.getTo() for c in light.connections if drivable(c))


# ---------------------------------------------------------------------- neighbours
def neighbours(lights: Mapping[str, Light], max_edges: int, max_distance: float) -> np.ndarray:
    """Pairs of signals of which one can be reached from the other without passing a third.

    From each signal the search follows edges until one ends at a signal.

    Args:
        lights: the N signals.
        max_edges: longest path in edges, the last one included.
        max_distance: longest path [m], the last edge included.

    Returns:
        bool `[N, N]`, symmetric.
    """
    index = {signal: i for i, signal in enumerate(lights)}
    ends = {c.getFrom(): index[light.id] for light in lights.values() for c in light.connections}
    found = np.zeros((len(lights), len(lights)), dtype=bool)
    for i, light in enumerate(lights.values()):
        for j in reachable_signals(exits(light), ends, max_edges, max_distance):
            if j != i:
                found[i, j] = True
    return found | found.T


def reachable_signals(
    start: Iterable[Any], ends: Mapping[Any, int], max_edges: int, max_distance: float
) -> set[int]:
    """Indices of the signals at which paths that begin with the edges `start` end.

    A breadth-first search over edges: an edge is searched again only over a shorter path.

    Args:
        start: first edges of the paths.
        ends: edge that leads to a signal → index of the signal.
        max_edges: longest path in edges.
        max_distance: longest path [m].
    """
    frontier = {edge: edge.getLength() for edge in start}
    shortest: dict[Any, float] = {}
    reached = set()
    for _ in range(max_edges):
        following: dict[Any, float] = {}
        for edge, length in frontier.items():
            if length > max_distance + SLACK or length >= shortest.get(edge, math.inf):
                continue
            shortest[edge] = length
            if edge in ends:
                reached.add(ends[edge])
                continue
            for after in successors(edge):
                longer = length + after.getLength()
                following[after] = min(longer, following.get(after, math.inf))
        frontier = following
    return reached


# ---------------------------------------------------------------------- distances
def distances(net: Any, lights: Mapping[str, Light]) -> np.ndarray:
    """Distance [m] along the roads between signals, from junction centre to junction centre.

    Of the two directions the shorter one counts. On a grid of straight two-way roads this is the
    Manhattan distance.

    Returns:
        float `[N, N]`, inf where no road leads.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import dijkstra

    edges = {edge: k for k, edge in enumerate(net.getEdges(withInternal=False))}
    size = len(edges) + len(lights)  # one node per edge, then one per signal
    lengths = {}
    for edge, k in edges.items():
        for after in successors(edge):
            lengths[k, edges[after]] = centre_length(after)
    for i, light in enumerate(lights.values()):
        for after in exits(light):
            lengths[len(edges) + i, edges[after]] = centre_length(after)
    rows = [start for start, _ in lengths]
    columns = [end for _, end in lengths]
    graph = csr_matrix((list(lengths.values()), (rows, columns)), shape=(size, size))
    to_edges = dijkstra(graph, indices=range(len(edges), size))
    found = np.zeros((len(lights), len(lights)))
    for j, light in enumerate(lights.values()):
        approaches = sorted({edges[c.getFrom()] for c in light.connections})
        found[:, j] = to_edges[:, approaches].min(1)
    np.fill_diagonal(found, 0.0)
    return np.minimum(found, found.T)


def centre_length(edge: Any) -> float:
    """Length [m] of an edge from junction centre to junction centre, along its shape."""
    start = edge.getFromNode().getCoord()
    end = edge.getToNode().getCoord()
    between = [point[:2] for point in edge.getRawShape()[1:-1]]
    return sum(math.dist(a, b) for a, b in pairwise([start, *between, end]))


# ---------------------------------------------------------------------- extensions
def extension(lane: Any, cover: float) -> tuple[Any, ...]:
    """The upstream lanes of a lane that is shorter than `cover` [m], nearest first.

    The search goes back over every connection that no traffic light controls. Each path ends when
    it is `cover` long, the lane itself included.
    """
    found: dict[Any, None] = {}
    queue = [(lane, lane.getLength())]
    for last, covered in queue:  # the queue grows while it is searched
        if covered >= cover:
            continue
        for connection in last.getIncomingConnections():
            before = connection.getFromLane()
            known = before is lane or before in found
            if known or connection.getTLSID() or not drivable(connection):
                continue
            found[before] = None
            queue.append((before, covered + before.getLength()))
    return tuple(found)
