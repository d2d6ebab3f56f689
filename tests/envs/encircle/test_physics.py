"""The physics of MPE Encircle, worked out by hand and against recorded episodes."""

import numpy as np
import pytest
import torch
from torch import tensor

from env_helpers import recording, recordings
from ilvf.envs import Encircle
from ilvf.envs.encircle.physics import FORCE, contact_force, move


def test_physics_by_hand():
    """From rest, +x three times.

    v = 0.5, 0.75 · 0.5 + 0.5 = 0.875, 0.75 · 0.875 + 0.5 = 1.15625; x += 0.1 v.
    """
    env = Encircle(4, num_envs=1, seed=0)
    env.reset()
    world = {**env.world, "position": torch.zeros(1, 4, 2)}
    found = []
    for _ in range(3):
        world = env.advance(world, torch.full((1, 4), 2))
        found.append(world["velocity"][0, 0, 0].item())
        found.append(world["position"][0, 0, 0].item())
    assert found == pytest.approx([0.5, 0.05, 0.875, 0.1375, 1.15625, 0.253125])


def test_all_recordings_are_here():
    assert len(recordings("mpe_*")) == 3


@pytest.mark.parametrize("name", recordings("mpe_*"))
class TestRecordedPhysics:
    def test_whole_episodes_in_float64(self, name):
        """In float64, because contacts amplify rounding errors."""
        trace = recording(name)
        center = tensor(trace["obstacle_pos"])[None]
        radius = tensor(trace["obstacle_radius"])[None]
        position = tensor(trace["pos"][:1])
        velocity = tensor(trace["vel"][:1])
        directions = tensor([[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]], dtype=torch.float64)
        for t, action in enumerate(tensor(trace["actions"].astype(np.int64))):
            force = FORCE * directions[action][None] + contact_force(position, center, radius)
            position, velocity = move(position, velocity, force)
            assert np.abs(position[0].numpy() - trace["pos"][t + 1]).max() < 1e-5
            assert np.abs(velocity[0].numpy() - trace["vel"][t + 1]).max() < 1e-5

    def test_single_steps_of_the_environment(self, name):
        """All recorded steps as one batch, in the environment's float32."""
        trace = recording(name)
        steps = len(trace["actions"])
        obstacles = len(trace["obstacle_radius"])
        env = Encircle(6, obstacles, num_envs=steps, seed=0)
        world = {
            "position": tensor(trace["pos"][:-1]).float(),
            "velocity": tensor(trace["vel"][:-1]).float(),
            "obstacle_center": tensor(trace["obstacle_pos"]).float().expand(steps, -1, -1),
            "obstacle_radius": tensor(trace["obstacle_radius"]).float().expand(steps, -1),
        }
        world = env.advance(world, tensor(trace["actions"].astype(np.int64)))
        assert np.abs(world["position"].numpy() - trace["pos"][1:]).max() < 1e-6
