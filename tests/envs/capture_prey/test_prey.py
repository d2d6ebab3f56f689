"""Several prey, and prey that move."""

import pytest
import torch
from torch import tensor

from ilvf.envs import CapturePrey
from ilvf.envs.capture_prey.grid import nearest
from prey_helpers import CAPTURE, RIGHT, STAY, world_with


def test_several_prey():
    """Prey at (0, 0) and (3, 3): agents see the nearest, capture any, and are counted by cell."""
    env = CapturePrey(2, 3, 4, n_prey=2, mode="cooperative", num_envs=1)
    position = [[0, 1], [2, 1], [3, 3], [3, 3], [0, 0]]
    world = world_with(env, position, [[0, 0], [3, 3]])
    way = nearest(world["position"], world["prey"]) - world["position"]
    # (2, 1) is 3 steps from both: the first of equals
    assert way[0].tolist() == [[0, -1], [-2, -1], [0, 0], [0, 0], [0, 0]]
    assert torch.allclose(env.observe(world)[0][..., 5:], way / 3)
    world = env.advance(world, tensor([[STAY, STAY, CAPTURE, CAPTURE, CAPTURE]]))
    assert world["captured"][0].tolist() == [False, False, True, True, True]
    # two agents on the prey at (3, 3), one on that at (0, 0)
    assert env.reward(world)[0].tolist() == pytest.approx([-0.05, -0.05, 0.1, 0.1, 0.05])


@pytest.mark.parametrize(
    ("start", "moves"),
    [([0, 0], 3), ([0, 1], 4), ([1, 1], 5), ([2, 2], 3)],
    ids=["corner", "edge", "middle", "other corner"],
)
def test_moving_prey_choose_uniformly_among_the_moves_on_the_grid(start, moves):
    """From a cell of a 3×3 grid; staying is one of the moves."""
    n = 6000
    env = CapturePrey(1, 0, 3, vision=0, prey_policy="random", num_envs=n, seed=0)
    agent = [2, 2] if start != [2, 2] else [0, 0]
    world = world_with(env, [agent], [start])
    world = {key: value.expand(n, *value.shape[1:]) for key, value in world.items()}
    prey = env.advance(world, torch.full((n, 1), STAY))["prey"][:, 0]
    cells, times = prey.unique(dim=0, return_counts=True)
    assert len(cells) == moves
    assert (cells - tensor(start)).abs().sum(-1).max() == 1
    assert cells.min() >= 0
    assert cells.max() <= 2
    assert (times / n - 1 / moves).abs().max() < 0.025


def test_prey_move_before_the_agents_and_stop_when_reached(monkeypatch):
    """A prey that steps on a waiting agent can be captured in the same step."""
    env = CapturePrey(0, 2, 3, prey_policy="random", num_envs=1)
    first_move = tensor([[0.0]])  # the first legal move: up
    monkeypatch.setattr(torch, "rand", lambda *_, **__: first_move)
    world = world_with(env, [[1, 1], [2, 1]], [[2, 2]])
    world = env.advance(world, tensor([[RIGHT, CAPTURE]]))
    assert world["prey"][0].tolist() == [[1, 2]]
    assert world["reached"][0].tolist() == [True, False]  # it walked to the prey's new cell
    world = env.advance(world, tensor([[STAY, STAY]]))
    assert world["prey"][0].tolist() == [[1, 2]]  # an agent is on it
    waiting = world_with(env, [[0, 0], [1, 2]], [[2, 2]])
    world = env.advance(waiting, tensor([[STAY, CAPTURE]]))
    assert world["captured"][0].tolist() == [False, True]


def test_moving_prey_draw_the_same_numbers_whatever_the_actions():
    """An audit needs this to compare actions under the same random numbers."""
    env = CapturePrey(2, 2, 5, n_prey=2, prey_policy="random", num_envs=4, seed=0)
    env.reset()
    state = env.get_state()
    start = {key: value for key, value in state.items() if key != "rng"}
    ends = []
    for action in (STAY, RIGHT):
        env.rng.set_state(state["rng"])
        world = start
        for _ in range(6):
            world = env.advance(world, torch.full((4, 4), action))
        ends.append(env.rng.get_state())
    assert torch.equal(*ends)
