"""`ILVFAdvantage` as the value estimator of TorchRL's losses."""

import pytest
import torch
from torchrl.objectives import A2CLoss, ClipPPOLoss
from torchrl.objectives.multiagent import IPPOLoss, MAPPOLoss
from torchrl.objectives.value import GAE

from credit_helpers import (
    GAMMA,
    LMBDA,
    A,
    D,
    N,
    acted_rollout,
    gae,
    set_agent_keys,
    total_loss,
)
from helpers import torchrl_policy
from ilvf.credit import ILVFAdvantage
from ilvf.losses import ActionValueLoss
from ilvf.modules import CategoricalActor, InfluenceCritic


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def policy_of(actor):
    return torchrl_policy(actor, log_prob_key=("agents", "action_log_prob"))


def make_estimator(loss, how, value):
    """Give `loss` an `ILVFAdvantage` in one of three ways."""
    if how == "instance":
        loss.make_value_estimator(ILVFAdvantage(gae(), value))
    elif how == "class":
        loss.make_value_estimator(ILVFAdvantage, inner=gae(), critic=value)
    else:  # wrap the estimator that the loss has already
        inner = GAE(gamma=GAMMA, lmbda=LMBDA, value_network=loss.critic_network)
        loss.make_value_estimator(inner)
        loss.make_value_estimator(ILVFAdvantage(loss.value_estimator))


def estimate(loss, td):
    """Run the estimator as TorchRL's training loops do, with the loss's parameters."""
    loss.value_estimator(
        td,
        params=getattr(loss, "critic_network_params", None),
        target_params=loss.target_critic_network_params,
    )


@pytest.mark.parametrize("functional", [True, False])
@pytest.mark.parametrize("kind", [MAPPOLoss, IPPOLoss, ClipPPOLoss, A2CLoss])
@pytest.mark.parametrize("how", ["instance", "class", "wrapped"])
def test_each_loss_trains_actor_values_and_action_values(kind, functional, how):
    actor = CategoricalActor(N, D, A, hidden=8)
    critic = InfluenceCritic(N, D, A, hidden=8)
    value = critic.value_module(state_key="observation")
    loss = kind(policy_of(actor), value, functional=functional)
    make_estimator(loss, how, value)
    set_agent_keys(loss)
    td = acted_rollout()
    expected = ILVFAdvantage(gae(), value)(td.clone())["agents", "advantage"]
    estimate(loss, td)
    assert torch.allclose(td["agents", "advantage"], expected, atol=1e-5)
    td["agents", "advantage"] = td["agents", "advantage"].contiguous()
    flat = td.reshape(-1).detach()
    action_value_loss = ActionValueLoss(critic, state_key="observation")
    (total_loss(loss(flat)) + total_loss(action_value_loss(flat))).backward()
    for head in (actor.net.head, critic.value.head, critic.action_value.head):
        assert head.weight.grad.abs().sum() > 0


def test_the_parameters_of_the_loss_include_the_whole_critic():
    """One optimiser over `loss.parameters()` then trains V, Q and the attention."""
    critic = InfluenceCritic(N, D, A, hidden=8)
    policy = policy_of(CategoricalActor(N, D, A, hidden=8))
    loss = MAPPOLoss(policy, critic.value_module(state_key="observation"))
    in_loss = {id(parameter) for parameter in loss.parameters()}
    assert all(id(parameter) in in_loss for parameter in critic.parameters())


def test_the_keys_of_a_wrapped_estimator_are_kept():
    """The loss is given its keys before its estimator is wrapped; the critic has a value key."""
    critic = InfluenceCritic(N, D, A, hidden=8)
    value = critic.value_module(value_key="v", state_key="observation")
    loss = MAPPOLoss(policy_of(CategoricalActor(N, D, A, hidden=8)), value)
    names = {"reward": "reward", "value": "v", "advantage": "a", "value_target": "g"}
    keys = {key: ("agents", name) for key, name in names.items()}
    loss.set_keys(**keys)
    loss.make_value_estimator(GAE(gamma=GAMMA, lmbda=LMBDA, value_network=loss.critic_network))
    loss.set_keys(**keys)
    loss.make_value_estimator(ILVFAdvantage(loss.value_estimator))
    td = acted_rollout()
    expected = ILVFAdvantage(gae(), value)(td.clone())
    estimate(loss, td)
    assert torch.allclose(td["agents", "a"], expected["agents", "advantage"], atol=1e-5)
    assert torch.allclose(td["agents", "g"], expected["agents", "value_target"], atol=1e-5)
