"""The graphs of CACC are true of its states, rewards and observations."""

import pytest
import torch
from torch import tensor

from env_helpers import rows_of
from ilvf.analysis import audit, visited_states
from ilvf.envs import CACC
from ilvf.modules import CategoricalActor


def test_graphs_by_hand():
    env = CACC(n_agents=4, seed=0)
    assert rows_of(env.transition_graph) == [[0], [0, 1], [1, 2], [2, 3]]
    assert rows_of(env.observation_graph) == [[0, 1], [0, 1, 2], [1, 2, 3], [2, 3]]
    alone = CACC(n_agents=4, observe_neighbors=False, seed=0)
    assert rows_of(alone.observation_graph) == [[0], [1], [2], [3]]
    assert env.reward_graph.all()
    assert env.value_graph.all()
    assert env.influence_graph.all()


def next_states(env, world, action):
    return env.observe(env.advance(world, action))[0]


def test_an_action_changes_the_next_states_in_its_column_of_the_transition_graph():
    """Those of vehicles j and j + 1."""
    env = CACC("slow-down", 5, num_envs=1, seed=0)
    headway = tensor([[22.0, 19, 18, 23, 17]], dtype=torch.float64)
    speed = tensor([[20.0, 21, 19.5, 18, 22]], dtype=torch.float64)
    world = env.platoon(headway, speed)
    action = torch.full((1, 5), 3)
    before = next_states(env, world, action)
    for j in range(5):
        other = action.clone()
        other[:, j] = 0
        changed = (next_states(env, world, other) - before)[0].abs().amax(-1) > 1e-6
        assert torch.equal(changed, env.transition_graph[:, j])


def test_only_a_collision_changes_the_rewards_of_others():
    """A vehicle that is elsewhere changes its own reward; if it collides, all rewards."""
    env = CACC(n_agents=4, num_envs=1, seed=0)
    hold = torch.zeros(1, 4).long()
    world = env.platoon(torch.full((1, 4), 25.0), torch.full((1, 4), 15.0))
    before = env.advance(world, hold)["reward"]
    safe = 24.0  # headway [m]
    collided = 0.5
    for j in range(4):
        for headway, expected in ((safe, torch.eye(4).bool()), (collided, env.reward_graph)):
            moved = {**world, "headway": world["headway"].clone()}
            moved["headway"][:, j] = headway
            changed = (env.advance(moved, hold)["reward"] - before)[0].abs() > 1e-6
            assert torch.equal(changed, expected[:, j])


@pytest.mark.slow
def test_an_audit_finds_influence_on_the_vehicles_behind_only():
    """Without neighbours in the observations nothing runs up the platoon."""
    torch.manual_seed(0)
    options = dict(n_agents=4, horizon=30, observe_neighbors=False, seed=0)
    actor = CategoricalActor(4, 5, 4)
    states = visited_states(CACC(num_envs=8, **options), actor)
    found = audit(CACC(num_envs=128, **options).eval(), actor, states)
    assert torch.equal(found.significant, torch.ones(4, 4).triu().bool())


@pytest.mark.parametrize("observe_neighbors", [True, False])
def test_observations_hold_own_state_then_front_then_rear(observe_neighbors):
    env = CACC(n_agents=4, observe_neighbors=observe_neighbors, num_envs=3, seed=0)
    agents = env.rollout(4)[:, -1]["agents"]
    state = agents["state"]
    observation = agents["observation"]
    assert observation.shape == (3, 4, env.observation_dim)
    for i in range(4):
        places = [i, i - 1, i + 1] if observe_neighbors else [i]
        existing = [j for j in places if 0 <= j < 4]
        assert sorted(existing) == rows_of(env.observation_graph)[i]
        for k, j in enumerate(places):
            part = slice(5 * k, 5 * k + 5)
            expected = state[:, j] if j in existing else torch.zeros(3, 5)
            assert torch.equal(observation[:, i, part], expected)
            assert (agents["observation_mask"][:, i, part] == (j in existing)).all()


def test_a_single_vehicle_observes_no_neighbours():
    env = CACC(n_agents=1, seed=0)
    td = env.rollout(3)[:, -1]
    assert env.observation_mask[0].tolist() == [True] * 5 + [False] * 10
    assert not td["agents", "observation"][0, 0, 5:].any()
