"""The graphs of Predator Capture Prey are true of its observations, rewards and next states."""

import pytest
import torch

from ilvf.envs import CapturePrey
from prey_helpers import STAY


def observations(env, world):
    return env.observe(world)[1]


def next_states(env, world):
    """After a step in which all agents stay; moving prey draw the same numbers every time."""
    env.rng.manual_seed(1)
    stay = torch.full((env.batch_size[0], env.n_agents), STAY)
    return env.observe(env.advance(world, stay))[0]


RECEIVES = [  # agent 2 receives from the blind agent 3, agent 3 from agent 0, which sees
    [1, 0, 0, 0],
    [0, 1, 0, 0],
    [0, 0, 1, 1],
    [1, 0, 0, 1],
]
CASES = [
    ("observation_graph", observations, dict(graph="paired")),
    ("observation_graph", observations, dict(graph="none")),
    ("observation_graph", observations, dict(graph=RECEIVES)),
    ("observation_graph", observations, dict(graph="none", action_vision=1)),
    ("reward_graph", CapturePrey.reward, dict(mode="mixed")),
    ("reward_graph", CapturePrey.reward, dict(mode="cooperative")),
    ("reward_graph", CapturePrey.reward, dict(mode="competitive")),
    ("transition_graph", next_states, dict(prey_policy="fixed")),
    ("transition_graph", next_states, dict(prey_policy="random")),
]


@pytest.mark.parametrize(("name", "quantity", "options"), CASES)
def test_moving_an_agent_changes_its_column_of_the_graph(name, quantity, options):
    """In at least one of 4000 random worlds, and nothing else in any of them."""
    env = CapturePrey(2, 2, 4, vision=1, num_envs=4000, seed=0, **options)
    world = env.initial()
    rng = torch.Generator().manual_seed(0)
    world["position"] = torch.randint(4, world["position"].shape, generator=rng)
    world["captured"] = env.is_action.expand(4000, -1)
    before = quantity(env, world)
    columns = []
    for j in range(4):
        moved = {**world, "position": world["position"].clone()}
        moved["position"][:, j] = world["position"][:, j].roll(1, 0)
        changed = (quantity(env, moved) != before).view(4000, 4, -1)
        columns.append(changed.any(-1).any(0))
    assert torch.equal(torch.stack(columns, 1), getattr(env, name))
