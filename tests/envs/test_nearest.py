"""Which agents are near each agent."""

from types import SimpleNamespace

import pytest
import torch

from ilvf.envs import Encircle
from ilvf.envs.nearest import nearest_agents

NO_GRAPH = SimpleNamespace()


def chain(n):
    """An environment in which agent i observes agent i + 1, up to the last."""
    return SimpleNamespace(observation_graph=torch.eye(n).roll(1, 1).triu().bool())


def test_on_the_ring_of_encircle_they_are_the_neighbours_ahead_and_behind():
    env = Encircle(10)
    assert nearest_agents(env, 10, 4)[0].tolist() == [0, 1, 9, 2, 8]
    assert nearest_agents(env, 10, 4)[7].tolist() == [7, 8, 6, 9, 5]


def test_a_chain_has_ends():
    found = nearest_agents(chain(6), 6, 3)
    assert found[0].tolist() == [0, 1, 2, 3]
    assert found[2].tolist() == [2, 3, 1, 4]
    assert found[5].tolist() == [5, 4, 3, 2]


def test_without_a_graph_numbers_count_around_the_team():
    assert nearest_agents(NO_GRAPH, 5, 2).tolist()[4] == [4, 0, 3]


def test_agents_without_a_way_come_last():
    """Agents 0 and 3 are linked, 1 and 2 are alone."""
    graph = torch.eye(4).bool()
    graph[0, 3] = True
    env = SimpleNamespace(reward_graph=graph)
    assert nearest_agents(env, 4, 2).tolist() == [[0, 3, 1], [1, 2, 0], [2, 3, 1], [3, 0, 2]]


@pytest.mark.parametrize("k", [3, 10**6])
def test_more_than_there_are_is_all(k):
    found = nearest_agents(NO_GRAPH, 4, k)
    assert found.sort(-1).values.tolist() == [[0, 1, 2, 3]] * 4
