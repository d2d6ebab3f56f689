"""Graphs that follow from an environment's observation, transition and reward graphs."""

import torch

from ilvf.envs import value_graph


def test_value_graph_of_a_chain():
    """Agent 0 observes 1, agent 1 observes 2, and rewards are own.

    V_0 depends on all states, V_1 on those of 1 and 2, V_2 on its own.
    """
    eye = torch.eye(3, dtype=torch.bool)
    observes = eye.clone()
    observes[0, 1] = True
    observes[1, 2] = True
    assert value_graph(observes, eye, eye).int().tolist() == [[1, 1, 1], [0, 1, 1], [0, 0, 1]]
