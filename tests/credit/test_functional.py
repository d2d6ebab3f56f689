"""The formulas of credit: exact cases, and what a transposed matrix would break."""

import pytest
import torch
from torch import tensor

from credit_helpers import B, N, T
from ilvf.credit import force_diagonal, local_advantage, standardise


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_credit_goes_to_the_agent_whose_action_moved_the_return():
    """Agent 0 alone moves agent 2 and gets its 7; a transposed matrix would give it nothing."""
    only_0_moves_2 = torch.zeros(3, 3)
    only_0_moves_2[0, 2] = 1.0
    individual = tensor([[0.0], [0.0], [7.0]])
    assert local_advantage(only_0_moves_2, individual).flatten().tolist() == [7.0, 0.0, 0.0]
    assert local_advantage(only_0_moves_2.T, individual).flatten().tolist() == [0.0, 0.0, 0.0]


def test_the_identity_gives_individual_advantages_and_ones_their_sum():
    individual = torch.randn(B, T, N, 1)
    assert torch.equal(local_advantage(torch.eye(N), individual), individual)
    team = individual.sum(-2, keepdim=True).expand_as(individual)
    assert torch.allclose(local_advantage(torch.ones(N, N), individual), team, atol=1e-6)


def test_force_diagonal_changes_the_diagonal_alone():
    x = torch.rand(B, N, N)
    y = force_diagonal(x)
    diagonal = torch.eye(N, dtype=torch.bool)
    assert (y[:, diagonal] == 1).all()
    assert torch.equal(y[:, ~diagonal], x[:, ~diagonal])


def test_standardise_per_agent_and_pooled():
    x = torch.randn(B, T, N, 1) * tensor([1.0, 10.0, 100.0]).view(N, 1) + 5
    per_agent = standardise(x)
    assert torch.allclose(per_agent.mean((0, 1)), torch.zeros(N, 1), atol=1e-5)
    assert torch.allclose(per_agent.std((0, 1), correction=0), torch.ones(N, 1), atol=1e-4)
    pooled = standardise(x, per_agent=False)
    assert pooled.mean().abs() < 1e-5
    assert pooled[..., 2, 0].std() > 5 * pooled[..., 0, 0].std()  # keeps the scale between agents


def test_one_state_has_no_deviation_of_each_agent():
    x = torch.tensor([[1.0], [2.0], [3.0]])
    assert torch.equal(standardise(x), torch.zeros(3, 1))
    assert standardise(x, per_agent=False).std(correction=0) == pytest.approx(1)
