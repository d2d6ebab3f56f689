"""Every declared option of an environment is accepted, and changes something."""

import dataclasses
import importlib

import pytest
import torch

from env_helpers import play, play_random
from ilvf.envs import make_env
from ilvf.envs.options import ENVIRONMENTS

COLLISION = dict(scenario="slow-down", ratio=2.0, n_agents=3)  # if no vehicle brakes
# environment: option: (other value, values of the options that it needs to have an effect)
OTHER = {
    "encircle": {
        "n_agents": (8, {}),
        "n_obstacles": (2, {}),
        "angle": ("unsigned", {}),
        "continuous": (True, {}),
        "horizon": (7, {}),
    },
    "capture_prey": {
        "n_perception": (3, {}),
        "n_action": (3, {}),
        "dim": (6, {}),
        "vision": (1, {}),
        "mode": ("cooperative", {"dim": 4}),
        "graph": ("full", {}),
        "n_prey": (2, {}),
        "prey_policy": ("random", {}),
        "encoding": ("reference", {}),
        "action_vision": (1, {}),
        "leak": (True, {}),
        "second_reward_scheme": (True, {"dim": 4}),
        "horizon": (7, {}),
    },
    "cacc": {
        "scenario": ("slow-down", {}),
        "n_agents": (3, {}),
        "observe_neighbors": (False, {}),
        "collision_rule": ("stop", COLLISION),
        "collision_penalty": (10.0, COLLISION),
        "collision_check_every": (50, COLLISION),
        "soft_penalty": (1.0, COLLISION),
        "action_repeat": (2, {}),
        "ratio": (2.0, {}),
        "target_headway": (25.0, {}),
        "target_speed": (20.0, {}),
        "horizon": (7, {}),
    },
    "tabular": {
        "game": ("star", {}),
        "n_agents": (3, {}),
        "horizon": (7, {}),
        "game_seed": (1, {"game": "random"}),
    },
    "vmas": {
        "task": ("balance", {"kwargs": {"n_agents": 3}}),
        "kwargs": ({"n_agents": 2}, {}),
        "horizon": (7, {}),
    },
}
CASES = [(name, option) for name, options in OTHER.items() for option in options]


def behaviour(name, options):
    """Sizes, and a rollout of random actions; of action 0 where a collision is needed."""
    env = make_env(name, num_envs=3, seed=0, **options)
    if "ratio" in options and "scenario" in options:
        hold = torch.zeros(3, env.n_agents, dtype=torch.int64)
        rollout = play(env, [hold] * 130)
    else:
        rollout = play_random(env, steps=30)
    return (env.n_agents, env.horizon), dict(rollout.flatten_keys().items())


def differs(one, other):
    sizes, rollout = one
    other_sizes, other_rollout = other
    if sizes != other_sizes or set(rollout) != set(other_rollout):
        return True
    return any(not torch.equal(rollout[key], other_rollout[key]) for key in rollout)


def test_all_options_are_tested_here():
    declared = {
        name: {field.name for field in dataclasses.fields(declaration.options)}
        for name, declaration in ENVIRONMENTS.items()
        if declaration.contract is not None
    }
    assert {name: set(options) for name, options in OTHER.items()} == declared


@pytest.mark.parametrize(("name", "option"), CASES)
def test_every_option_is_accepted_and_changes_the_environment(name, option):
    value, needed = OTHER[name][option]
    options = {**ENVIRONMENTS[name].contract, **needed}
    default = options.get(option, getattr(ENVIRONMENTS[name].options(), option))
    assert value != default
    with_default = behaviour(name, {**options, option: default})
    with_value = behaviour(name, {**options, option: value})
    assert differs(with_default, with_value)


@pytest.mark.parametrize(("name", "option"), CASES)
def test_the_default_of_every_option_is_the_declared_one(name, option):
    """A constructor without the option does the same as with its declared default."""
    _, needed = OTHER[name][option]
    declaration = ENVIRONMENTS[name]
    options = {**declaration.contract, **needed}
    options.pop(option, None)
    module, _, cls = declaration.make.partition(":")
    make = getattr(importlib.import_module(module), cls)
    default = getattr(declaration.options(), option)
    without = make(num_envs=2, seed=0, **options)
    given = make(num_envs=2, seed=0, **options, **{option: default})
    assert without.horizon == given.horizon
    assert (play_random(without) == play_random(given)).all()
