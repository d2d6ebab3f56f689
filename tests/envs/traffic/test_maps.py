"""Maps: colours of queues, arrows of influence, and what they refuse."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

from ilvf.envs.traffic import read_network
from ilvf.envs.traffic.network import maps
from ilvf.envs.traffic.network.labels import label_points
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


def test_roads_have_no_gaps_at_junctions(tiny):
    """Where a car can go on, a line leads from the end of one lane to the start of the next."""
    grey, _ = roads_of(draw_map(tiny, {}).axes[0])
    drawn = [line.tolist() for line in grey.get_segments()]
    lanes = maps.roads_of(tiny).lanes
    for before, after in (("a_J1_0", "J1_k_0"), ("k_m_0", "m_J2_0"), ("s3_J3_0", "J3_b_0")):
        assert [lanes[before][-1].tolist(), lanes[after][0].tolist()] in drawn
        assert lanes[before].tolist() in drawn


def test_maps_side_by_side_have_the_same_colours(grid):
    queues = {"learned": np.full(150, 1), "fixed cycle": np.full(150, 9)}
    left, right, scale = draw_side_by_side(grid, queues).axes
    assert left.get_title() == "learned: 150 vehicles halting"
    assert right.get_title() == "fixed cycle: 1350 vehicles halting"
    for axes in (left, right):
        _, coloured = roads_of(axes)
        assert coloured.get_clim() == (0, 9)
        assert {text.get_text() for text in axes.texts} == {s.id for s in grid.signals}
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
    return [text for text in figure.axes[0].texts if not text.get_text()]


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
    assert figure.axes[1].get_ylim() == (0.0, 0.8)
    (only,) = arrows_of(draw_map(grid, influence=influence, arrows=1))
    assert darkness(only) == darkness(upper)


# ---------------------------------------------------------------------- axes and errors
def test_map_in_given_axes_has_the_names_of_signals(tiny):
    left, right = Figure().subplots(1, 2)
    assert draw_map(tiny, axes=right) is right.figure
    assert not left.collections
    assert {text.get_text() for text in right.texts} == {"J1", "J2", "J3", "J4"}


def boxes_of(figure, dpi):
    """The rectangles of all labels in a picture of a resolution [pixels]."""
    figure.set_dpi(dpi)
    figure.draw_without_rendering()
    labels = [text for text in figure.axes[0].texts if text.get_text()]
    return [Text.get_window_extent(label) for label in labels]


@pytest.mark.parametrize("dpi", [80, 200])
def test_labels_of_near_signals_do_not_overlap(dpi):
    """Twelve long names, half of them within the length of one."""
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    near = [(50 + 3 * (k % 3), 50 + 3 * (k // 3)) for k in range(6)]
    border = [(0, 0), (100, 0), (0, 100), (100, 100), (50, 0), (100, 50)]
    points = near + border
    axes.scatter(*zip(*points, strict=True))
    names = [f"cluster_{k}" for k in range(12)]
    label_points(axes, names, points, 7)
    boxes = boxes_of(figure, dpi)
    assert len(boxes) == 12
    page = figure.bbox
    for k, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:k]), names[k]
        assert page.x0 <= box.x0 < box.x1 <= page.x1
        assert page.y0 <= box.y0 < box.y1 <= page.y1
        dots = axes.transData.transform(points)
        assert not any(box.contains(*dot) for dot in dots)


def test_far_labels_have_a_line_to_their_signal():
    axes = Figure().subplots()
    axes.scatter([0, 1], [0, 1])
    label_points(axes, ["one", "alone"], [(0, 0), (1, 1)], 7)
    assert not any(label.arrow_patch.get_visible() for label in axes.texts)
    crowd = [f"signal {k}" for k in range(12)]
    label_points(axes, crowd, [(0.5, 0.5)] * 12, 7)
    assert any(label.arrow_patch.get_visible() for label in axes.texts)


def test_labels_of_a_city_do_not_overlap(irregular_net):
    network = read_network(irregular_net)
    boxes = boxes_of(draw_map(network), dpi=110)
    assert len(boxes) == len(network.signals) > 20
    for k, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:k])


@pytest.mark.parametrize("with_queue", [True, False])
def test_maps_of_influence_have_the_names_of_signals(tiny, with_queue):
    queue = {"a_J1_0": 3} if with_queue else None
    axes = draw_map(tiny, queue, np.eye(4)[::-1]).axes[0]
    assert {text.get_text() for text in axes.texts} == {"", "J1", "J2", "J3", "J4"}
    axes = draw_map(tiny, {"a_J1_0": 3}).axes[0]
    assert {text.get_text() for text in axes.texts} == {"J1", "J2", "J3", "J4"}


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
