"""Moves, captures, rewards, ends and starts of Predator Capture Prey, worked out by hand."""

import pytest
import torch
from torch import tensor

from env_helpers import start_in
from ilvf.envs import CapturePrey
from prey_helpers import CAPTURE, DOWN, LEFT, RIGHT, STAY, UP, world_with


# ---------------------------------------------------------------------- moves and captures
@pytest.mark.parametrize(
    ("start", "actions", "end"),
    [
        ([1, 1], [UP, RIGHT, DOWN, LEFT, STAY], [[0, 1], [1, 2], [2, 1], [1, 0], [1, 1]]),
        ([0, 0], [UP, LEFT, DOWN, RIGHT, CAPTURE], [[0, 0], [0, 0], [1, 0], [0, 1], [0, 0]]),
        ([2, 2], [DOWN, RIGHT, UP, LEFT, STAY], [[2, 2], [2, 2], [1, 2], [2, 1], [2, 2]]),
    ],
    ids=["middle", "upper left", "lower right"],
)
def test_agents_move_within_the_grid(start, actions, end):
    """Five action agents on the same cell of a 3×3 grid."""
    env = CapturePrey(0, 5, 3, num_envs=1)
    prey = [[2, 2]] if start != [2, 2] else [[0, 0]]
    world = env.advance(world_with(env, [start] * 5, prey), tensor([actions]))
    assert world["position"][0].tolist() == end


def test_captures_and_flags():
    """Agents 0 and 1 perceive, 2 to 5 act; the prey is at (1, 1)."""
    env = CapturePrey(2, 4, 4, num_envs=1)
    position = [[1, 1], [1, 0], [1, 1], [1, 0], [1, 2], [3, 3]]
    world = world_with(env, position, [[1, 1]], reached=[True] + [False] * 5)
    world = env.advance(world, tensor([[CAPTURE, RIGHT, CAPTURE, RIGHT, CAPTURE, CAPTURE]]))
    # only 2 captures: 0 and 1 cannot, 3 walks to the prey, 4 and 5 are elsewhere
    assert world["captured"][0].tolist() == [False, False, True, False, False, False]
    assert world["reached"][0].tolist() == [True, True, True, True, False, False]
    world = env.advance(world, tensor([[UP] * 6]))  # agents that have reached the prey stay
    assert world["position"][0].tolist() == [[1, 1], [1, 1], [1, 1], [1, 1], [0, 2], [2, 3]]
    world = env.advance(world, tensor([[CAPTURE] * 6]))  # 3 captures now
    assert world["captured"][0].tolist() == [False, False, True, True, False, False]


# ---------------------------------------------------------------------- rewards
THIRD = 0.05 / 3
# perception agent 0 is on the prey, 1 is not; action agent 2 is on it without having captured,
# 3 is on it and has captured, 4 is not: three agents on the prey
REWARDS = {
    ("mixed", False): [0, -0.05, -0.05, 0, -0.05],
    ("cooperative", False): [0.15, -0.05, -0.05, 0.15, -0.05],  # 3 · 0.05
    ("competitive", False): [THIRD, -0.05, -0.05, THIRD, -0.05],
    ("mixed", True): [0, -0.05, -0.025, 0, -0.05],
    ("cooperative", True): [0.15, -0.05, -0.025, 0.15, -0.05],
}


@pytest.mark.parametrize(("mode", "second"), REWARDS)
def test_rewards_by_hand(mode, second):
    env = CapturePrey(2, 3, 4, mode=mode, second_reward_scheme=second, num_envs=1)
    prey = [2, 1]
    away = [0, 0]
    captured = [False, False, False, True, False]
    world = world_with(env, [prey, away, prey, prey, away], [prey], captured=captured)
    assert env.reward(world)[0].tolist() == pytest.approx(REWARDS[mode, second], abs=1e-7)


# ---------------------------------------------------------------------- ends and statistics
@pytest.mark.parametrize("mode", ["mixed", "cooperative", "competitive"])
def test_only_mixed_terminates(mode):
    """When the last action agent captures, not when all have reached the prey."""
    env = CapturePrey(1, 2, 4, mode=mode, horizon=3, num_envs=1, seed=0)
    position = [[0, 1], [0, 0], [0, 0]]
    world = world_with(env, position, [[0, 0]], [False, True, True], [False, False, True])
    td = start_in(env, world)

    def step(*actions):
        td["agents", "action"] = tensor([actions])
        return env.step(td)["next"]

    td = step(LEFT, STAY, STAY)
    assert not td["done"].item()
    assert td["episode", "reached"].item() == 1
    assert td["episode", "success"].item() == 0
    td = step(STAY, CAPTURE, STAY)
    assert td["terminated"].item() == (mode == "mixed")
    assert td["episode", "success"].item() == 1
    td = step(STAY, STAY, STAY)
    assert td["terminated"].item() == (mode == "mixed")
    assert td["truncated"].item() == (mode != "mixed")
    if mode == "mixed":
        assert not td["agents", "reward"].any()  # so the end costs and gains nothing


def test_statistics_by_hand():
    env = CapturePrey(1, 4, 4, num_envs=1)
    reached = [True, True, True, True, False]
    captured = [False, True, False, False, False]
    world = world_with(env, [[0, 0]] * 5, [[0, 0]], reached, captured)
    found = {name: value.item() for name, value in env.statistics(world).items()}
    assert found == pytest.approx({"success": 0, "reached": 0.8, "captured": 0.25})
    world["reached"][:] = True
    world["captured"][:, 1:] = True
    found = {name: value.item() for name, value in env.statistics(world).items()}
    assert found == {"success": 1, "reached": 1, "captured": 1}


# ---------------------------------------------------------------------- starts
def test_agents_and_prey_start_on_different_cells():
    env = CapturePrey(3, 2, 4, n_prey=2, num_envs=2000, seed=0)
    world = env.initial()
    cell = torch.cat([world["position"], world["prey"]], 1) @ tensor([4, 1])  # [B, 7]
    assert (cell.sort(-1).values.diff(dim=-1) > 0).all()
    assert not world["reached"].any()
    assert not world["captured"].any()


def test_all_cells_are_equally_likely_at_the_start():
    """Four standard deviations of a share are 4 · sqrt(15/16/16/8000) < 0.012."""
    env = CapturePrey(3, 2, 4, n_prey=2, vision=0, graph="none", num_envs=8000, seed=0)
    world = env.initial()
    for position in (world["position"][:, 0], world["position"][:, 4], world["prey"][:, 0]):
        cell = position @ tensor([4, 1])
        share = cell.bincount(minlength=16) / len(cell)
        assert (share - 1 / 16).abs().max() < 0.012


def test_a_full_grid():
    env = CapturePrey(1, 2, 2, num_envs=5)
    assert env.reset()["agents", "state"].shape == (5, 3, 7)
