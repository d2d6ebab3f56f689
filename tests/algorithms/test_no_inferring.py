"""ILVF-P (no inferring): the critic with an attention over actions."""

import pytest
import torch
from torch.nn import functional as F

from credit_helpers import A, B, D, N
from ilvf.modules import ActionInfluenceCritic


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def critic():
    return ActionInfluenceCritic(N, D, A, hidden=8)


@pytest.fixture
def attention(critic):
    """A fixed attention in which agent 1 ignores the action of agent 2."""
    weight = torch.rand(B, N, N)
    weight[:, 1, 2] = 0.0
    critic.attention.sample = lambda logits, generator=None: weight
    return weight


def test_values_do_not_use_the_attention(critic):
    state = torch.randn(B, N, D)
    value, weight, logits = critic(state)
    assert torch.equal(value, critic.state_critic(state))
    assert torch.allclose(weight, torch.sigmoid(logits).mT)


def test_an_action_value_reads_the_state_and_the_weighted_actions(critic, attention):
    """Q_i = f_i(s, Σ_j w^g_ij a_j)"""
    state = torch.randn(B, N, D)
    action = torch.randint(A, (B, N))
    _, found = critic.predict(state, action)
    acted = F.one_hot(action, A).float()
    rows = F.layer_norm(state.flatten(1), (N * D,))
    head = critic.action_value.head
    for i in range(N):
        mixed = sum(attention[:, i, j, None] * acted[:, j] for j in range(N))
        first = rows @ critic.of_state.weight[i] + critic.of_state.bias[i]
        first = first + mixed @ critic.of_sum.weight[i]
        expected = torch.relu(first) @ head.weight[i] + head.bias[i]
        assert torch.allclose(found[:, i], expected, atol=1e-5)


def test_an_action_without_weight_does_not_change_the_action_value(critic, attention):
    state = torch.randn(B, N, D)
    action = torch.randint(A, (B, N))
    other = action.clone()
    other[:, 2] = (action[:, 2] + 1) % A
    change = critic.predict(state, other)[1] - critic.predict(state, action)[1]
    largest = change.abs().amax((0, 2))
    assert largest[1] == 0
    assert largest[[0, 2]].min() > 1e-4
