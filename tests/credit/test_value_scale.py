"""`ValueNorm` in a foreign pipeline: losses of order one whatever the scale of the rewards."""

import pytest
import torch
from torchrl.objectives.multiagent import MAPPOLoss

from credit_helpers import A, D, N, acted_rollout, gae, set_agent_keys, total_loss
from helpers import torchrl_policy
from ilvf.credit import ILVFAdvantage
from ilvf.losses import ActionValueLoss, PPOLoss
from ilvf.modules import CategoricalActor, CentralCritic, InfluenceCritic, ValueNorm

SCALE = 1000.0  # of the rewards


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def td():
    td = acted_rollout(rows=20)
    td["next", "agents", "reward"] = SCALE * (1 + td["next", "agents", "reward"])
    return td


@pytest.fixture
def critic():
    return InfluenceCritic(N, D, A, hidden=8)


@pytest.fixture(params=[True, False], ids=["functional", "not functional"])
def functional(request):
    return request.param


def rollout_with(value, td):
    """A flat batch with advantages."""
    ILVFAdvantage(gae(), value)(td)
    td["agents", "advantage"] = td["agents", "advantage"].contiguous()
    return td.reshape(-1).detach()


def mappo(value, functional, norm=None):
    actor = torchrl_policy(
        CategoricalActor(N, D, A, hidden=8), log_prob_key=("agents", "action_log_prob")
    )
    return set_agent_keys(MAPPOLoss(actor, value, functional=functional, value_norm=norm))


def test_without_it_the_losses_have_the_scale_of_the_returns(critic, td):
    flat = rollout_with(critic.value_module(state_key="observation"), td)
    loss = ActionValueLoss(critic, state_key="observation")(flat)["loss_action_value"]
    assert loss > SCALE


def test_torchrls_losses_are_of_order_one(critic, td, functional):
    norm = ValueNorm((N, 1))
    value = critic.value_module(state_key="observation", norm=norm)
    loss = mappo(value, functional, norm)
    action_value = ActionValueLoss(critic, state_key="observation", value_norm=norm)
    flat = rollout_with(value, td)
    terms = loss(flat)
    terms.update(action_value(flat))
    assert 0.01 < terms["loss_critic"] < 10
    assert 0.01 < terms["loss_action_value"] < 10 * N
    total_loss(terms).backward()
    assert critic.value.head.weight.grad.abs().sum() > 0
    assert critic.action_value.head.weight.grad.abs().sum() > 0


def test_values_are_in_reward_units_with_the_present_statistics(critic, td, functional):
    norm = ValueNorm((N, 1))
    value = critic.value_module(state_key="observation", norm=norm)
    loss = mappo(value, functional, norm)
    flat = rollout_with(value, td)
    loss(flat)  # renews the statistics
    target = flat["agents", "value_target"]
    mean, _ = norm.moments()
    assert torch.allclose(mean, target.mean(0), rtol=1e-3)
    fresh = value(flat.select(("agents", "observation")))
    raw, _, _ = critic(flat["agents", "observation"])
    assert torch.equal(fresh["agents", "normalised_value"], raw)
    assert torch.equal(fresh["agents", "state_value"], norm.denormalize(raw))


def test_a_loss_that_is_moved_keeps_the_statistics_of_its_value_module(critic, td, functional):
    """`to(device)` gives every buffer a new tensor, and TorchRL's functional losses hold two."""
    norm = ValueNorm((N, 1))
    value = critic.value_module(state_key="observation", norm=norm)
    loss = mappo(value, functional, norm)
    loss._apply(torch.clone)
    flat = rollout_with(value, td)
    loss(flat)  # renews the statistics
    total_loss(loss(flat)).backward()
    assert critic.value.head.weight.grad.abs().sum() > 1e-2


def test_the_loss_of_this_library_reads_the_normalised_value(critic, td):
    norm = ValueNorm((N, 1))
    flat = rollout_with(critic.value_module(norm=norm), td)
    norm.update(flat["agents", "value_target"])
    terms = PPOLoss(CategoricalActor(N, D, A, hidden=8), critic, norm)(flat)
    assert 0.01 < terms["loss_value"] < 10 * N


def test_a_team_has_one_value(td):
    norm = ValueNorm((1, 1))
    norm.update(SCALE * torch.ones(5, 1, 1))
    critic = CentralCritic(N, D, hidden=8)
    found = critic.value_module(norm=norm)(td.select(("agents", "state")))
    assert torch.equal(found["state_value"], norm.denormalize(found["normalised_value"]))
