"""`ActionValueLoss`: the regression of Q that trains the attention."""

import pytest
import torch

from credit_helpers import A, B, D, N, T, acted_rollout
from ilvf.losses import ActionValueLoss
from ilvf.modules import InfluenceCritic, StateCritic


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def critic():
    return InfluenceCritic(N, D, A, hidden=8)


@pytest.fixture
def batch():
    """A flat minibatch `[B T]` with value targets."""
    td = acted_rollout().reshape(-1)
    td["agents", "value_target"] = 2 * torch.randn(B * T, N, 1)
    return td


def squared_errors(critic, batch):
    """(Q_i − G_i)² of every agent, `[B T, N]`, with the noise of seed 5."""
    torch.manual_seed(5)
    _, q, *_ = critic.predict(batch["agents", "observation"], batch["agents", "action"])
    return (q - batch["agents", "value_target"]).square().squeeze(-1)


def value_of(loss, batch):
    torch.manual_seed(5)
    return loss(batch)["loss_action_value"]


def test_it_is_half_the_squared_error_summed_over_agents(critic, batch):
    loss = ActionValueLoss(critic, state_key="observation", coeff=3.0)
    expected = 3 * 0.5 * squared_errors(critic, batch).sum(-1).mean()
    assert torch.allclose(value_of(loss, batch), expected)


def test_dead_agents_do_not_count(critic, batch):
    mask = torch.rand(B * T, N) < 0.7
    batch["agents", "mask"] = mask
    batch["agents", "value_target"][~mask] = 1e6
    expected = 0.5 * (squared_errors(critic, batch) * mask).sum(-1).mean()
    loss = ActionValueLoss(critic, state_key="observation")
    assert torch.allclose(value_of(loss, batch), expected, rtol=1e-4)


def test_gradient_steps_reduce_it(critic, batch):
    loss = ActionValueLoss(critic, state_key="observation")
    before = value_of(loss, batch)
    optimiser = torch.optim.Adam(critic.parameters(), lr=1e-2)
    for _ in range(30):
        optimiser.zero_grad()
        loss(batch)["loss_action_value"].backward()
        optimiser.step()
    assert value_of(loss, batch) < 0.9 * before


def test_a_critic_without_action_values_is_refused(refused):
    with refused("InfluenceCritic", "StateCritic"):
        ActionValueLoss(StateCritic(N, D))


def test_a_batch_without_value_targets_is_refused(critic, batch, refused):
    loss = ActionValueLoss(critic, state_key="observation")
    with refused("('agents', 'value_target')"):
        loss(batch.exclude(("agents", "value_target")))
