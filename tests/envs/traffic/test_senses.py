"""Waves, rewards, observations and transitions, by hand."""

from pathlib import Path

import numpy as np
import pytest

from ilvf.envs.options import SignalOptions
from ilvf.envs.traffic import Network, Signal
from ilvf.envs.traffic.senses import Senses
from ilvf.envs.traffic.simulator.simulation import Reading
from ilvf.envs.traffic.simulator.sumo_process import transition
from traffic_helpers import play, two_signals

TRANSITIONS = {  # (shown, wanted): between
    ("GGrr", "rrGG"): "yyrr",
    ("GGrr", "GrGr"): "Gyrr",  # links that keep green keep it, links that gain it wait
    ("Ggrr", "rGgr"): "ygrr",  # the opposing stream is still there
    ("gGr", "GGr"): "GGr",
    ("Grr", "GGr"): "GGr",  # no link loses green
    ("GGr", "GGr"): "GGr",
    ("Gsr", "rGG"): "ysr",
    ("Gr", "sG"): "yr",  # a right turn on red is no green
}


@pytest.mark.parametrize(("pair", "between"), TRANSITIONS.items())
def test_transition(pair, between):
    assert transition(*pair) == between


def test_priority_at_once_as_published():
    assert transition("Ggrr", "rGgr", False) == "yGrr"
    for pair, between in TRANSITIONS.items():
        assert transition(*pair, False).replace("G", "g") == between.replace("G", "g")


def test_transition_is_shown_for_two_seconds(town, make_road, tmp_path):
    """SUMO's own record of the states, second by second."""
    network, routes = town
    signal = network.signals[0]
    record = tmp_path / "states.xml"
    watch = f'<timedEvent type="SaveTLSStates" source="{signal.id}" dest="{record}"/>'
    (tmp_path / "watch.add.xml").write_text(f"<additional>{watch}</additional>")
    env = make_road(network, routes, additional=tmp_path / "watch.add.xml", seconds=15)
    play(env, 3, lambda t, i: t + 1, seed=0)
    env.close()
    lines = [line for line in record.read_text().splitlines() if "tlsState " in line]
    found = [line.split('state="')[1].split('"')[0] for line in lines]
    expected = []
    for before, wanted in zip(signal.phases, signal.phases[1:4], strict=False):
        expected += [transition(before, wanted)] * 2 + [wanted] * 3
    assert len(expected) == 15
    assert found == expected


def reading_of(*counts):
    return Reading([np.array(count, float) for count in counts], {})


def test_waves_of_detectors():
    reading = reading_of([4, 11, 1], [3, 2, 1])  # p, q2, q; 11 / 5 > 2
    assert two_signals().waves(reading) == pytest.approx([0.8, 0.8, 2.0, 0.2])
    assert two_signals(per="lane").waves(reading) == pytest.approx([0.8, 2.0, 0.2])


def test_waves_of_lanes():
    """p counts with its extension p0: 150 m hold 20 vehicles, 15 m hold 2, 30 m hold 4."""
    senses = two_signals(detectors=False)
    lanes = ("p", "p0", "q2", "q")
    assert senses.queries[0] == ("lane", "getLastStepVehicleNumber", lanes, False)
    waves = senses.waves(reading_of([4, 6, 3, 1], [3, 2, 1]))
    assert waves == pytest.approx([10 / 20, 10 / 20, 3 / 2, 1 / 4])


REWARDS = {  # halting 3, 2, 1 on p, q2, q
    "queue": ({}, [-8, -1]),  # 3 + 3 + 2
    "queue per lane": ({"per": "lane"}, [-5, -1]),
    "scaled": ({"reward_scale": 0.5}, [-4, -0.5]),
    "capped": ({"reward_cap": 2.0}, [-6, -1]),
    "wait": ({"reward": "wait"}, [-27, -5]),  # 10 + 10 + 7
    "wait per lane": ({"reward": "wait", "per": "lane"}, [-17, -5]),
    # Densities: p 5/10, q2 1/2, q 2/4, x 4/20, y 1/1. The links of a: 2 p + q2 - 2 x - q.
    "pressure": ({"reward": "pressure"}, [-abs(1 + 0.5 - 0.4 - 0.5), -abs(0.5 - 1)]),
    "pressure per lane": (
        {"reward": "pressure", "per": "lane"},
        [-abs(0.5 + 0.5 - 0.2 - 0.5), -abs(0.5 - 1)],
    ),
}


@pytest.mark.parametrize(("options", "expected"), REWARDS.values(), ids=REWARDS)
def test_rewards(options, expected):
    senses = two_signals(**options)
    vehicles = {"p": 5, "q2": 1, "x": 4, "q": 2, "y": 1}
    _, _, lanes, _ = senses.queries[-1]
    last = {"wait": [10, 7, 5], "pressure": [vehicles.get(lane, 0) for lane in lanes]}
    reading = reading_of([0, 0, 0], [3, 2, 1], last.get(senses.options.reward, []))
    assert senses.rewards(reading) == pytest.approx(expected)
    assert senses.queue(reading) == 2.0


@pytest.mark.parametrize(
    ("detectors", "lanes", "halting", "expected"),
    [
        # The links are on p with p0, p with p0, q2 and q.
        (False, ("p", "p0", "q2", "q"), [3, 2, 1.5, 0.5], (5 + 5 + 1.5 + 0.5) / 4),
        (True, ("p", "q2", "q"), [3, 1.5, 0.5], (3 + 3 + 1.5 + 0.5) / 4),
    ],
)
@pytest.mark.parametrize("per", ["link", "lane"])
def test_queue_per_link(detectors, lanes, halting, expected, per):
    """Of whole lanes, also with detectors."""
    senses = two_signals(detectors, link_queue=True, per=per)
    assert senses.queries[-1] == ("lane", "getLastStepHaltingNumber", lanes, True)
    reading = reading_of([0, 0, 0], [3, 2, 1], halting)
    assert senses.link_queue(reading) == pytest.approx(expected)


def test_queue_per_link_is_not_read_without_the_option():
    senses = two_signals()
    assert not any(in_every_step for _, _, _, in_every_step in senses.queries)
    assert senses.link_queue(reading_of([0, 0, 0], [3, 2, 1])) == 0


def test_backlog_is_paid_once_per_edge_also_with_links():
    """Vehicles outside wait on edges; the lanes p_0 and p_1 are of one edge."""
    signal = Signal("a", ("Grr", "rGG"), ("p_0", "p_0", "p_1"), ("x_0",) * 3, (0, 0), (0, 1, 2))
    network = Network(
        Path("one.net.xml"),
        (signal,),
        neighbour_lists=((),),
        distance=np.zeros((1, 1)),
        lane_lengths={"p_0": 75.0, "p_1": 75.0, "o_0": 75.0},
        extensions={"p_0": ("o_0",), "p_1": ()},
        notes=(),
    )
    senses = Senses(network, SignalOptions(reward_backlog=True), detectors=False)
    assert senses.queries[-1] == ("edge", "getPendingVehicles", ("p", "o"), False)
    reading = reading_of([0, 0, 0], [3, 1], [5, 2])
    assert senses.rewards(reading).tolist() == [-(3 + 3 + 1) - (5 + 2)]


def test_observations_are_own_and_neighbours():
    senses = two_signals()
    own = senses.observed_entries(None)
    both = senses.observed_entries(senses.network.neighbour_lists)
    assert [list(x) for x in own] == [[0, 1, 2], [3]]
    assert [list(x) for x in both] == [[0, 1, 2, 3], [3, 0, 1, 2]]
