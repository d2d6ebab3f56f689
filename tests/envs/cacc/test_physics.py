"""The physics and the starts of CACC, against numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch
from torch import tensor

from cacc_helpers import HOLD, begin, step
from ilvf.envs import CACC
from ilvf.envs.cacc.physics import accelerate, lead_speed, suitable_speed
from ilvf.envs.cacc.rules import Constant
from ilvf.envs.cacc.starts import EVALUATION_RATIOS


def test_suitable_speed_by_hand():
    # 15 (1 − cos π/4) = 4.393398 at 12.5 m, 15 (1 − 0) at 20 m
    found = suitable_speed(tensor([-3.0, 5.0, 12.5, 20.0, 35.0, 90.0], dtype=torch.float64))
    assert found.tolist() == pytest.approx([0, 0, 15 * (1 - math.sqrt(0.5)), 15, 30, 30])


def test_acceleration_by_hand():
    """A vehicle at 20 m and 12 m/s behind one at 13 m/s: V − v = 3, v_front − v = 1."""
    headway, speed, front = (tensor([[x]] * 4, dtype=torch.float64) for x in (20.0, 12.0, 13.0))
    alpha = tensor([[0.0], [0.5], [0.0], [0.5]])
    beta = tensor([[0.0], [0.0], [0.5], [0.5]])
    after, accel = accelerate(headway, speed, front, alpha, beta)
    assert accel.flatten().tolist() == pytest.approx([0, 1.5, 0.5, 2.0])
    assert after.flatten().tolist() == pytest.approx([12, 12.15, 12.05, 12.2])


@pytest.mark.parametrize(
    ("headway", "speed", "front", "after", "accel"),
    [
        (50.0, 0.0, 0.0, 0.25, 2.5),  # V = 30; wish 0.5 · 30 = 15, limited to 2.5 m/s²
        (5.0, 29.9, 29.9, 29.65, -2.5),  # V = 0; wish −15, limited to −2.5
        (20.0, 36.0, 36.0, 30.0, -60.0),  # the speed is cut to 30 m/s
        (5.0, 0.1, 0.1, 0.095, -0.05),  # wish −0.05, within the limits
        (5.0, 0.1, -3.8, 0.0, -1.0),  # wish −2, but the speed cannot fall below 0
    ],
)
def test_limits_by_hand(headway, speed, front, after, accel):
    """Of one vehicle with the gains (0.5, 0.5)."""
    vehicle = (tensor([[x]], dtype=torch.float64) for x in (headway, speed, front, 0.5, 0.5))
    found_after, found_accel = accelerate(*vehicle)
    assert found_after.item() == pytest.approx(after)
    assert found_accel.item() == pytest.approx(accel)


def test_the_lead_brakes_evenly():
    time = tensor([0, 1, 100, 299, 300, 600])
    found = lead_speed(tensor([29.95]), time, 15.0)  # 14.95 m/s in 299 steps: 0.05 m/s each
    assert found.tolist() == pytest.approx([29.95, 29.9, 24.95, 15, 15, 15])


def test_the_lead_is_as_precise_as_its_start():
    """1/3 of the way down from 30 m/s is no float32."""
    start = tensor([30.0], dtype=torch.float64)
    found = lead_speed(start, tensor([100]), 15.0)
    assert found.dtype == torch.float64
    assert found.item() == pytest.approx(15 + 15 * 199 / 299, rel=1e-15)


def test_headway_follows_both_speeds():
    """Lead and vehicle 1 at 15 m/s, vehicle 2 at 14 m/s, no acceleration: h_2 grows by 0.1 m."""
    env = CACC(n_agents=2, seed=0)
    td = step(env, begin(env, [[20.0, 20.0]], [[15.0, 14.0]]), HOLD)
    assert env.world["headway"][0].tolist() == pytest.approx([20, 20.1])
    # −0.1² − 1² = −1.01
    assert td["agents", "reward"][0, :, 0].tolist() == pytest.approx([0, -1.01])
    # v: −1/15, closing: 1/5; h + 0.1 − 20 = 0.2: 0.01; V(20.1) − 14 = 15 (1 + sin(π 0.1/30)) − 14
    suitable = (1 + 15 * math.sin(math.pi * 0.1 / 30)) / 5
    expected = [-1 / 15, 0.2, suitable, 0.01, 0]
    assert td["agents", "state"][0, 1].tolist() == pytest.approx(expected, abs=1e-6)


# ---------------------------------------------------------------------- starts
def test_random_starts_of_catch_up():
    """Only the first headway is drawn."""
    env = CACC("catch-up", 3, num_envs=500, seed=0)
    env.reset()
    assert_uniform_from_1_5_to_2_5(env.world["headway"][:, 0] / 20)
    assert (env.world["headway"][:, 1:] == 20).all()
    assert (env.world["speed"] == 15).all()
    assert (env.world["lead"] == 15).all()


def test_random_starts_of_slow_down():
    """All vehicles and the lead have the same speed, which is drawn."""
    env = CACC("slow-down", 3, num_envs=500, seed=0)
    env.reset()
    speed = env.world["speed"]
    assert_uniform_from_1_5_to_2_5(speed[:, 0] / 15)
    assert (speed == speed[:, :1]).all()
    assert torch.equal(env.world["lead"], speed[:, 0])
    assert (env.world["headway"] == 20).all()


def assert_uniform_from_1_5_to_2_5(ratio):
    assert 1.5 <= ratio.min() < 1.52
    assert 2.48 < ratio.max() < 2.5


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (2.0, [2.0] * 8),
        ([1.5, 1.75, 2], [1.5, 1.75, 2, 1.5, 1.75, 2, 1.5, 1.75]),
        ("evaluation", [*EVALUATION_RATIOS, *EVALUATION_RATIOS[:2]]),
    ],
)
def test_fixed_starts(ratio, expected):
    env = CACC(ratio=ratio, num_envs=8, seed=0)
    for _ in range(2):
        env.reset()
        assert (env.world["headway"][:, 0] / 20).tolist() == pytest.approx(expected)


# ---------------------------------------------------------------------- other targets
TARGETS = dict(target_headway=25.0, target_speed=20.0)


def test_starts_with_other_targets():
    """2 · 25 m behind the lead, or 2 · 20 m/s."""
    env = CACC("catch-up", 3, ratio=2.0, seed=0, **TARGETS)
    env.reset()
    assert env.world["headway"].tolist() == [[50, 25, 25]]
    assert env.world["speed"].tolist() == [[20, 20, 20]]
    assert env.world["lead"].tolist() == [20]
    options = dict(ratio=1.5, collision_rule="pay_to_horizon", seed=0)
    env = CACC("slow-down", 3, **options, **TARGETS)
    env.reset()
    assert env.world["headway"].tolist() == [[25, 25, 25]]
    assert env.world["speed"].tolist() == [[30, 30, 30]]
    td = env.rollout(299, Constant(HOLD))
    assert td["next", "lead_speed"][0, [0, -1], 0].tolist() == pytest.approx([30 - 10 / 299, 20])


def test_a_platoon_at_its_targets_pays_nothing():
    """Without acceleration; its states are 0, except the speed wanted for the headway."""
    env = CACC(n_agents=2, seed=0, **TARGETS)
    td = step(env, begin(env, [[25.0, 25.0]], [[20.0, 20.0]]), HOLD)
    assert not td["agents", "reward"].any()
    # V(25) = 15 (1 − cos(2π/3)) = 22.5; (22.5 − 20) / 5
    assert td["agents", "state"][0, 1].tolist() == pytest.approx([0, 0, 0.5, 0, 0], abs=1e-6)


def test_errors_count_from_the_targets():
    """Lead at 20 m/s, vehicle 1 at 20 m/s and 24 m, vehicle 2 at 21 m/s and 25 m."""
    env = CACC(n_agents=2, seed=0, **TARGETS)
    td = step(env, begin(env, [[24.0, 25.0]], [[20.0, 21.0]]), HOLD)
    # −(24 − 25)²; h_2 = 25 − 0.1: −0.1² − (21 − 20)²
    assert td["agents", "reward"][0, :, 0].tolist() == pytest.approx([-1, -1.01])
    # v: 1/20; closing: −1/5; (24.9 − 0.1 − 25) / 25
    state = td["agents", "state"][0, 1]
    assert state[[0, 1, 3]].tolist() == pytest.approx([0.05, -0.2, -0.2 / 25], abs=1e-6)


def test_only_the_default_targets_have_a_bound():
    assert "cost_to_bound" in CACC(seed=0).statistic_names
    for name, value in TARGETS.items():
        assert "cost_to_bound" not in CACC(seed=0, **{name: value}).statistic_names


def test_evaluation_ratios_are_evenly_spaced():
    assert np.linspace(1.58, 2.42, 6).tolist() == pytest.approx(EVALUATION_RATIOS)
