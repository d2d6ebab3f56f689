"""Maps: colours of queues, arrows of influence, and what they refuse."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from ilvf.envs.traffic.network.maps import draw_map, draw_side_by_side


def roads_of(axes):
    """(grey lanes, coloured lanes)."""
    lines = [c for c in axes.collections if isinstance(c, LineCollection)]
    (grey,) = (c for c in lines if c.get_array() is None)
    (coloured,) = (c for c in lines if c.get_array() is not None)
    return grey, coloured


def queues_of(axes):
    """Vehicles of the coloured lanes, sorted."""
    _, coloured = roads_of(axes)
    return np.sort(np.asarray(coloured.get_array())).tolist()


# ---------------------------------------------------------------------- queues
def test_map_colours_queues(grid):
    queue = np.zeros(150)
    queue[[3, 10]] = 7, 2
    figure = draw_map(grid, queue)
    assert queues_of(figure.axes[0]) == [2, 7]
    by_lane = draw_map(grid, {grid.lanes[3]: 7, grid.lanes[10]: 2})
    assert queues_of(by_lane.axes[0]) == [2, 7]
    assert figure.axes[1].get_ylabel() == "halting vehicles"
    figure.canvas.draw()


def test_lanes_are_drawn_on_the_right_of_their_road(tiny):
    """From a at x = -200 to J1 at x = 0, to the right of y = 0."""
    _, coloured = roads_of(draw_map(tiny, {"a_J1_0": 3}).axes[0])
    (line,) = coloured.get_segments()
    x, y = line.T
    assert -200 <= x[0] < x[-1] <= 0
    assert (y < 0).all()
    assert (y > -20).all()


def test_maps_side_by_side_have_the_same_colours(grid):
    queues = {"learned": np.full(150, 1), "fixed cycle": np.full(150, 9)}
    left, right, scale = draw_side_by_side(grid, queues).axes
    assert left.get_title() == "learned: 150 vehicles halting"
    assert right.get_title() == "fixed cycle: 1350 vehicles halting"
    for axes in (left, right):
        _, coloured = roads_of(axes)
        assert coloured.get_clim() == (0, 9)
    assert scale.get_ylabel() == "halting vehicles"


# ---------------------------------------------------------------------- influence
def influence_of(**pairs):
    """[25, 25]: `from_0_to_1=0.8` is the influence of signal 0 on signal 1."""
    weights = np.eye(25)
    for name, weight in pairs.items():
        _, i, _, j = name.split("_")
        weights[int(i), int(j)] = weight
    return weights


def arrows_of(figure):
    return figure.axes[0].texts


def darkness(arrow):
    return -sum(arrow.arrow_patch.get_edgecolor()[:3])


def test_arrows_are_drawn_above_a_threshold(grid):
    influence = influence_of(from_0_to_1=0.8, from_1_to_0=0.4, from_3_to_4=0.05)
    lower, upper = arrows_of(draw_map(grid, influence=influence))
    assert upper.xyann == grid.signals[0].position  # from
    assert upper.xy == grid.signals[1].position  # to
    assert darkness(upper) > darkness(lower)
    assert len(arrows_of(draw_map(grid, influence=influence, threshold=0.01))) == 3
    assert len(arrows_of(draw_map(grid, influence=np.zeros((25, 25))))) == 0


def test_largest_weights_are_drawn_on_top(grid):
    influence = influence_of(from_0_to_1=0.4, from_1_to_0=0.8, from_3_to_4=0.2)
    figure = draw_map(grid, influence=influence, arrows=2)
    lower, upper = arrows_of(figure)
    assert lower.xy == grid.signals[1].position
    assert upper.xy == grid.signals[0].position
    assert figure.axes[1].get_ylabel() == "influence"
    assert figure.axes[1].get_ylim() == (0.4, 0.8)
    (only,) = arrows_of(draw_map(grid, influence=influence, arrows=1))
    assert darkness(only) == darkness(upper)


# ---------------------------------------------------------------------- axes and errors
def test_map_in_given_axes_has_the_names_of_signals(tiny):
    left, right = Figure().subplots(1, 2)
    assert draw_map(tiny, axes=right) is right.figure
    assert not left.collections
    assert {text.get_text() for text in right.texts} == {"J1", "J2", "J3", "J4"}


@pytest.mark.parametrize(
    ("queue", "influence", "words"),
    [
        ([1, 2, 3], None, ("(3,)", "150")),
        ({"nowhere_0": 1}, None, ("nowhere_0",)),
        (None, np.zeros((3, 3)), ("(3, 3)", "(25, 25)")),
    ],
)
def test_wrong_queues_and_influences(grid, refused, queue, influence, words):
    with refused(*words):
        draw_map(grid, queue, influence)


def test_no_queues_side_by_side(grid, refused):
    with refused("learned"):
        draw_side_by_side(grid, {})
