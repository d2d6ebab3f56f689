"""Names of agents in pictures: of every environment, shortened, or numbers."""

from types import SimpleNamespace

import pytest

from ilvf.envs import CACC, CapturePrey, Encircle, Vmas
from ilvf.envs.names import FEWER, AgentNames, names_of, numbered


@pytest.mark.parametrize(
    ("env", "names", "word"),
    [
        (lambda: Encircle(4), ("1", "2", "3", "4"), "agent"),
        (lambda: CACC(n_agents=3), ("1", "2", "3"), "vehicle"),
        (lambda: CapturePrey(2, 1), ("P1", "P2", "A1"), "agent"),
        (lambda: Vmas("navigation", {"n_agents": 2}), ("agent_0", "agent_1"), "agent"),
    ],
)
def test_environments_name_their_agents(env, names, word):
    env = env()
    assert names_of(env, env.n_agents) == AgentNames(names, word)


@pytest.mark.parametrize("names", [None, (), ("a", "b", "c")])
def test_agents_without_names_are_numbered(names):
    """Or with a wrong number of them."""
    assert names_of(SimpleNamespace(agent_names=names), 2) == numbered(2)
    assert names_of(object(), 2).names == ("0", "1")


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["nt1", "nt25"], ["nt1", "nt25"]),
        (["predator_10", "predator_2"], ["10", "2"]),
        (["prey_of_one", "prey_of_two"], ["one", "two"]),
        (["cluster_123456789"], ["clus…56789"]),
        (["straßenecke", "straßenecken"], ["stra…necke", "stra…ecken"]),
    ],
)
def test_long_names_are_shortened(names, short):
    assert AgentNames(tuple(names)).short() == short


def test_many_names_are_shorter():
    names = tuple(f"crossing{k}" for k in range(100, 113))
    assert {len(name) for name in AgentNames(names).short()} == {FEWER}
