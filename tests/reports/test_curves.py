"""Learning curves whose runs have points at different frames."""

import pandas as pd
from matplotlib.figure import Figure

from ilvf.reports.curves import draw_curves


def test_runs_with_other_frames_are_joined_in_the_order_of_frames():
    """Run 0 has no point at 200 frames, where run 1 has its second: 0 and 2 → their mean is 1."""
    runs = [
        pd.Series([0.0, 0.0, 0.0], index=[100, 300, 400], name=0),
        pd.Series([2.0, 2.0, 2.0], index=[100, 200, 400], name=1),
    ]
    axes = Figure().add_subplot()
    draw_curves(axes, {"A": runs}, {"A": {"color": "black"}})
    x, y = axes.lines[0].get_data()
    assert list(x) == [100, 200, 300, 400]
    assert list(y) == [1, 1, 1, 1]


def test_a_gap_is_interpolated_by_frames():
    runs = [
        pd.Series([0.0, 3.0], index=[0, 300], name=0),
        pd.Series([0.0, 1.0, 3.0], index=[0, 100, 300], name=1),
    ]
    axes = Figure().add_subplot()
    draw_curves(axes, {"A": runs}, {"A": {"color": "black"}})
    x, y = axes.lines[0].get_data()
    assert list(x) == [0, 100, 300]
    assert list(y) == [0, 1, 3]
