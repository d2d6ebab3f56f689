"""Fixed cycle, greedy and max pressure: by hand, and on a network."""

from contextlib import closing

import pytest
import torch
from tensordict import TensorDict

from ilvf.envs.traffic import Signal, Traffic
from ilvf.envs.traffic.controllers import Greedy, MaxPressure, cycle
from traffic_helpers import two_signals


def test_cycle_leaves_out_phases_that_serve_no_new_link():
    phases = ("GGrr", "rGGr", "Grrr", "rrrG", "GGGG")
    assert cycle(Signal("s", phases, (), (), (0, 0), (0, 1, 2, 3))) == [0, 1, 3]


def test_cycle_ignores_pedestrian_crossings():
    """Only the first two letters belong to links."""
    phases = ("GGrr", "rGGr", "Grrr", "rrrG", "GGGG")
    assert cycle(Signal("s", phases, (), (), (0, 0), (0, 1))) == [0]


@pytest.mark.parametrize("per", ["link", "lane"])
@pytest.mark.parametrize(
    ("rule", "p", "q2", "q", "expected"),
    [
        (Greedy, 0.8, 0.6, 0.0, [0, 0]),
        (Greedy, 0.4, 0.6, 2.0, [1, 0]),  # b has no second phase
        (MaxPressure, 0.8, 0.6, 0.2, [0, 0]),  # half of p leads to q: 0.8 - 0.2 / 2 > 0.6
        (MaxPressure, 0.8, 0.6, 0.6, [1, 0]),  # 0.8 - 0.6 / 2 < 0.6
    ],
)
def test_greedy_and_max_pressure(rule, per, p, q2, q, expected):
    """p is served by phase 0 of a and q2 by phase 1; p, q2 and q are waves."""
    senses = two_signals(per=per)
    state = torch.zeros(1, 2, max(senses.sizes))
    state[0, 0, : senses.sizes[0]] = torch.tensor([p, p, q2] if per == "link" else [p, q2])
    state[0, 1, 0] = q
    chosen = rule(senses)(TensorDict({"agents": {"state": state}}, [1]))
    assert chosen["agents", "action"].tolist() == [expected]


@pytest.mark.slow
def test_rules_of_an_irregular_network(town):
    """Rules choose existing phases and leave shorter queues than constant phases."""
    with closing(Traffic(*town, num_envs=2, seed=0, seconds=200)) as env:
        phases = torch.tensor([len(signal.phases) for signal in env.network.signals])
        queue = {}
        for name, rule in {**env.rules, "constant": lambda: constant}.items():
            env.set_seed(0)
            rollout = env.rollout(env.horizon, rule(), break_when_any_done=False)
            assert (rollout["agents", "action"] < phases).all()
            queue[name] = float(rollout["next", "episode", "queue"][:, -1].mean())
    for name in ("fixed_cycle", "greedy", "max_pressure"):
        assert queue[name] < queue["constant"], queue


def constant(td):
    shape = td["agents", "state"].shape[:-1]
    return td.set(("agents", "action"), torch.zeros(shape, dtype=torch.int64))
