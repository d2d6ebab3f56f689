"""Collisions, held actions, rewards and statistics of CACC, against numbers worked out by hand."""

import math

import pytest
import torch

from cacc_helpers import HOLD, PENALTY, begin, hold, platoon_before_collision, step
from ilvf.envs import CACC

RULES = ["reference", "pay_to_horizon", "stop"]


# ---------------------------------------------------------------------- collisions
@pytest.mark.parametrize(
    ("rule", "after", "options", "end"),
    [
        ("reference", 7, {}, (60, "terminated")),
        ("reference", 59, {}, (60, "terminated")),
        ("reference", 60, {}, (60, "terminated")),  # at the end of the block
        ("reference", 61, {}, (120, "terminated")),
        ("reference", 7, dict(collision_check_every=5), (10, "terminated")),
        ("reference", 7, dict(collision_check_every=1), (7, "terminated")),
        ("reference", 7, dict(horizon=20), (20, "truncated")),
        ("reference", 7, dict(horizon=60), (60, "terminated")),  # in the last step, too
        ("stop", 7, {}, (7, "terminated")),
        ("pay_to_horizon", 7, dict(horizon=130), (130, "truncated")),
    ],
)
def test_all_pay_from_the_collision_to_the_end(rule, after, options, end):
    env, td = platoon_before_collision(rule, after, **options)
    rewards, found_end, td = hold(env, td, 200)
    assert found_end == end
    assert len(rewards) == end[0]
    assert (rewards[: after - 1] > -PENALTY).all()
    assert (rewards[after - 1 :] == -PENALTY).all()
    assert env.world["headway"][0].tolist() == pytest.approx([20, 0.75])  # where it stopped
    assert td["episode", "collision"].item() == 1


def test_a_headway_of_one_metre_is_not_a_collision():
    """15 and 20 m/s: the headway falls by exactly 0.5 m a step, 2 → 1.5 → 1 → 0.5."""
    env = CACC(n_agents=2, seed=0)
    td = begin(env, [[20.0, 2.0]], [[15.0, 20.0]])
    collided = []
    for _ in range(3):
        td = step(env, td, HOLD)
        collided.append(td["episode", "collision"].item())
    assert collided == [0, 0, 1]


# ---------------------------------------------------------------------- held actions
@pytest.mark.parametrize("rule", RULES)
def test_a_collision_while_an_action_is_held(rule):
    """After 7 of 10 steps: four of them cost G (under `stop` one), and the platoon stands still."""
    single, td = platoon_before_collision(rule)
    total = 0
    for _ in range(10):
        td = step(single, td, HOLD)
        total = total + td["agents", "reward"][0, :, 0]
    held, td = platoon_before_collision(rule, action_repeat=10)
    td = step(held, td, HOLD)
    reward = td["agents", "reward"][0, :, 0]
    assert reward.tolist() == pytest.approx(total.tolist())
    assert reward[0].item() == (-PENALTY if rule == "stop" else -4 * PENALTY)
    assert torch.equal(held.world["headway"], single.world["headway"])
    assert td["terminated"].item() == (rule == "stop")


@pytest.mark.parametrize("scenario", ["catch-up", "slow-down"])
def test_a_held_action_equals_that_many_steps(scenario):
    """Held for 4 steps: the states of every fourth step, the sum of rewards, a quarter as long."""
    single = CACC(scenario, num_envs=3, seed=1, horizon=40)
    held = CACC(scenario, num_envs=3, seed=1, horizon=40, action_repeat=4)
    one = single.reset()
    four = held.reset()
    for k in range(10):
        action = torch.randint(4, (3, 8), generator=torch.Generator().manual_seed(k))
        total = 0
        for _ in range(4):
            one = step(single, one, action)
            total = total + one["agents", "reward"]
        four = step(held, four, action)
        assert torch.allclose(four["agents", "reward"], total)
        for key in ("state", "observation"):
            assert torch.equal(four["agents", key], one["agents", key])
        for key in held.statistic_names:
            assert torch.equal(four["episode", key], one["episode", key])
        assert four["truncated"].all() == one["truncated"].all() == (k == 9)
    assert held.horizon == four["episode", "length"][0].item() == 10


# ---------------------------------------------------------------------- rewards and statistics
@pytest.mark.parametrize(
    ("train", "soft_penalty", "expected"),
    [(True, 5.0, -126.0), (False, 5.0, -121.0), (True, 2.0, -123.0), (True, 0.0, -121.0)],
)
def test_the_soft_penalty_is_for_training_only(train, soft_penalty, expected):
    """Headways 9 m and 12 m at 15 m/s: −11² and −8²; in training −5 · 1² more for the first."""
    env = CACC(n_agents=2, soft_penalty=soft_penalty, seed=0).train(train)
    td = step(env, begin(env, [[9.0, 12.0]], [[15.0, 15.0]]), HOLD)
    assert td["agents", "reward"][0, :, 0].tolist() == pytest.approx([expected, -64.0])
    assert td["episode", "cost"].item() == pytest.approx(185)


def test_statistics_by_hand():
    """One vehicle at 40 m and 15 m/s: V − v = 15, so action 3 is u = 2.5 m/s² in both steps."""
    env = CACC(n_agents=1, seed=0).eval()
    td = begin(env, [[40.0]], [[15.0]])
    for _ in range(2):
        td = step(env, td, 3)
    # v = 15.25, 15.5; h = 40 − 0.0125 = 39.9875, then − 0.05 · (0.25 + 0.5) = 39.95
    headway = [19.9875, 19.95]
    speed = [0.25, 0.5]
    cost = [h * h + v * v + 0.1 * 2.5**2 for h, v in zip(headway, speed, strict=True)]
    expected = {
        "headway_error": math.sqrt(sum(x * x for x in headway) / 2),
        "speed_error": math.sqrt(sum(x * x for x in speed) / 2),
        "acceleration": 2.5,
        "jerk": math.sqrt(25**2 / 2),  # 0 → 2.5 m/s² in 0.1 s, then constant
        "min_headway": 39.95,
        "collision": 0,
        "cost": sum(cost) / 2,
        "length": 2,
        "return": -sum(cost),
    }
    found = {name: value.item() for name, value in td["episode"].items()}
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("rule", RULES)
def test_the_cost_counts_a_collision_to_the_horizon(rule):
    """Two safe steps at 5 m/s too fast, then G for both vehicles in 118 of 120 steps."""
    env, td = platoon_before_collision(rule, after=3, horizon=120)
    env.eval()
    rewards, _, td = hold(env, td, 120)
    safe = -rewards[:2].sum().item()
    # headway after steps 1 and 2: 1.75 m, 1.25 m
    assert safe == pytest.approx(18.25**2 + 18.75**2 + 2 * 25)
    episode = td["episode"]
    assert episode["cost"].item() == pytest.approx((safe + 118 * 2 * PENALTY) / 120)
    rms = math.sqrt((18.25**2 + 18.75**2) / 4)
    assert episode["headway_error"].item() == pytest.approx(rms)
    assert episode["min_headway"].item() == pytest.approx(0.75)


@pytest.mark.parametrize(("n_agents", "horizon"), [(7, 600), (8, 300)])
def test_other_sizes_have_no_bound(n_agents, horizon):
    env = CACC(n_agents=n_agents, horizon=horizon, seed=0)
    assert "cost_to_bound" not in env.statistic_names


def test_cost_to_bound_by_hand():
    env = CACC("slow-down", seed=0)
    episode = step(env, env.reset(), HOLD)["episode"]
    expected = episode["cost"].item() / 302.4
    assert episode["cost_to_bound"].item() == pytest.approx(expected)
