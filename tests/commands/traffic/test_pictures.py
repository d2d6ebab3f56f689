"""The pictures of the command `traffic`, drawn from made-up episodes."""

import numpy as np
import pytest
import torch

from ilvf.envs.traffic import read_network
from ilvf.reports import traffic as traffic_report


def made_up_policy(vehicles):
    """Two episodes of three steps with these vehicles on two lanes, half of them in the second."""
    first = torch.tensor(vehicles).expand(3, 2)
    queues = torch.stack([first, first / 2])
    return {
        "queues": queues,
        "queue": queues.mean(-1),
        "speed": torch.tensor([[5.0, torch.nan, 3.0]] * 2),  # NaN: no vehicles on the roads
    }


def test_lines_over_the_episode():
    played = {"learned": made_up_policy([4.0, 0.0]), "fixed_cycle": made_up_policy([8.0, 8.0])}
    figure = traffic_report.draw_episodes(played, interval=20.0)
    queues, speeds = figure.axes
    assert queues.lines[0].get_xdata().tolist() == pytest.approx([1 / 3, 2 / 3, 1])  # minutes
    mean, first, second, mean_of_cycle = (line.get_ydata()[0] for line in queues.lines[:4])
    assert (first, second) == (2.0, 1.0)  # means over lanes of 4, 0 and of 2, 0
    assert mean == 1.5
    assert mean_of_cycle == 6.0
    assert np.isnan(speeds.lines[0].get_ydata()).tolist() == [False, True, False]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["learned", "fixed cycle"]


@pytest.fixture(scope="module")
def network(files):
    return read_network(files["net_file"])


def test_the_map_of_queues_shows_two_policies(network):
    n_lanes = len(network.lanes)
    played = {}
    for name, level in {"learned": 2.0, "fixed_cycle": 4.0, "random": 9.0}.items():
        queues = torch.full((2, 3, n_lanes), level)
        played[name] = {**made_up_policy([1.0, 1.0]), "queues": queues}
    figure = traffic_report.map_queues(network, played, interval=20.0)
    titles = [axes.get_title() for axes in figure.axes[:2]]
    assert titles == [
        f"learned: {2 * n_lanes} vehicles halting",
        f"fixed cycle: {4 * n_lanes} vehicles halting",
    ]
    assert figure.get_suptitle() == "Mean over 2 episodes of 1 minutes"


def arrows_of(axes):
    return [text for text in axes.texts if not text.get_text()]


def test_arrows_of_the_influence_map_point_from_the_acting_signal(network):
    n_signals = len(network.signals)
    weight = torch.zeros(n_signals, n_signals)
    weight[0, 3] = 0.9
    weight[2, 1] = 0.01
    axes = traffic_report.map_influence(network, weight, 1).axes[0]
    ends = [network.signals[k].position for k in (1, 3)]
    starts = [network.signals[k].position for k in (2, 0)]
    arrows = arrows_of(axes)
    assert [arrow.xy for arrow in arrows] == ends
    assert [arrow.xyann for arrow in arrows] == starts
    names = {text.get_text() for text in axes.texts} - {""}
    assert names == {signal.id for signal in network.signals}
    assert f"the 2 heaviest of {n_signals * (n_signals - 1)}" in axes.get_title()


def test_the_influence_map_draws_a_number_of_arrows_per_signal(network):
    n_signals = len(network.signals)
    axes = traffic_report.map_influence(network, torch.rand(n_signals, n_signals), 2).axes[0]
    assert len(arrows_of(axes)) == 2 * n_signals
    assert f"the {2 * n_signals} heaviest" in axes.get_title()
