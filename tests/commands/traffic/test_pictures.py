"""The pictures of the command `traffic`, drawn from made-up episodes."""

import numpy as np
import pytest
import torch
from PIL import Image

from ilvf.envs.traffic import read_network
from ilvf.envs.traffic.animation import CostScene, QueueScene, animate_queues
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
    played = {"learned": made_up_policy([4.0, 0.0]), "fixed cycle": made_up_policy([8.0, 8.0])}
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


def test_the_map_of_queues_shows_every_policy(network):
    n_lanes = len(network.lanes)
    played = {}
    for name, level in {"learned": 2.0, "fixed cycle": 4.0, "random": 9.0, "greedy": 1.0}.items():
        queues = torch.full((2, 3, n_lanes), level)
        played[name] = {**made_up_policy([1.0, 1.0]), "queues": queues}
    figure = traffic_report.map_queues(network, played, 20.0, "ILVF-P on town, seed 0")
    titles = [axes.get_title() for axes in figure.axes[:4]]
    assert titles == [
        f"learned: {2 * n_lanes} vehicles halting",
        f"fixed cycle: {4 * n_lanes} vehicles halting",
        f"random: {9 * n_lanes} vehicles halting",
        f"greedy: {n_lanes} vehicles halting",
    ]
    names = {signal.id for signal in network.signals}
    for axes in figure.axes[:4]:
        assert {text.get_text() for text in axes.texts} == names
    assert figure.get_suptitle() == "ILVF-P on town, seed 0: mean over 2 episodes of 1 minutes"


def arrows_of(axes):
    return [text for text in axes.texts if not text.get_text()]


def test_arrows_of_the_influence_map_point_from_the_acting_signal(network):
    n_signals = len(network.signals)
    weight = torch.zeros(n_signals, n_signals)
    weight[0, 3] = 0.9
    weight[2, 1] = 0.01
    matrices = {"weight": weight, "influence": (weight > 0.5).float()}
    axes, beside = traffic_report.map_influence(network, matrices, 1).axes[:2]
    assert [arrow.xy for arrow in arrows_of(beside)] == [network.signals[3].position]
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
    matrices = dict.fromkeys(("weight", "influence"), torch.rand(n_signals, n_signals))
    axes = traffic_report.map_influence(network, matrices, 2).axes[0]
    assert len(arrows_of(axes)) == 2 * n_signals
    assert f"the {2 * n_signals} heaviest" in axes.get_title()


def test_an_animation_of_queues_has_a_map_for_every_policy(network, tmp_path):
    queues = {}
    for name, level in {"learned": 2.0, "fixed cycle": 4.0}.items():
        queues[name] = np.full((3, len(network.lanes)), level)
    scene = QueueScene(network, queues, interval=20.0)
    scene.show(1)
    assert [name.get_text().partition(":")[0] for name in scene.names] == list(queues)
    assert [set(lanes.get_array()) for lanes in scene.lanes] == [{2.0}, {4.0}]
    assert scene.title.get_text() == "minute 0.7"
    animate_queues(network, queues, 20.0, tmp_path / "queues.gif")
    with Image.open(tmp_path / "queues.gif") as shown:
        assert shown.n_frames == 3


def test_an_animation_of_costs_colours_the_signals(network):
    reward = -np.arange(2.0 * len(network.signals)).reshape(2, -1)
    scene = CostScene(network, reward, interval=30.0)
    scene.show(1)
    assert scene.dots.get_array().tolist() == (-reward[1]).tolist()
    assert scene.title.get_text().startswith("minute 1.0")
