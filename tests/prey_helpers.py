"""Shared by the tests of Predator Capture Prey: given worlds, alone or recorded."""

import numpy as np
from torch import tensor

from ilvf.envs import CapturePrey

UP, RIGHT, DOWN, LEFT, STAY, CAPTURE = range(6)
PART = 5 + 100  # numbers that an agent sends by default: 5 of its state, 4 counts of 25 cells
RECORDED_OPTIONS = (
    "n_perception",
    "n_action",
    "dim",
    "vision",
    "mode",
    "n_prey",
    "second_reward_scheme",
    "action_vision",
)


def environment_of(trace, num_envs, **options):
    """The environment of a recording, without communication and truncation."""
    recorded = {key: trace[key].item() for key in RECORDED_OPTIONS}
    return CapturePrey(**recorded, graph="none", horizon=1000, num_envs=num_envs, seed=0, **options)


def recorded_worlds(trace, rows, device="cpu"):
    """The recorded worlds `rows` as one batch."""
    position = tensor(trace["pos"][rows].astype(np.int64))
    perception = np.zeros((len(position), trace["n_perception"].item()), dtype=bool)
    captured = np.concatenate([perception, trace["captured"][rows].astype(bool)], 1)
    world = {
        "position": position,
        "prey": tensor(trace["prey_pos"]).expand(len(position), -1, -1),
        "reached": tensor(trace["reached"][rows].astype(bool)),
        "captured": tensor(captured),
    }
    return {key: value.to(device) for key, value in world.items()}


def world_with(env, position, prey, reached=None, captured=None):
    """A world `[1, ...]`; by default no agent has reached or captured."""
    no_agent = [False] * env.n_agents
    world = {
        "position": position,
        "prey": prey,
        "reached": reached or no_agent,
        "captured": captured or no_agent,
    }
    return {key: tensor(value)[None] for key, value in world.items()}
