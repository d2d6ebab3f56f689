"""`MADDPGLoss`: its gradients, and the actions that its critics read."""

import pytest
import torch

from ilvf.losses.maddpg import own_replaced
from ilvf.modules import JointCritic
from ilvf.modules.actors.categorical import straight_through
from losses.off_policy_parts import A, B, D, N, maddpg_loss, transitions


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def chance_of_action_2(loss, td):
    """Mean probability of action 2, per agent."""
    return loss.actor.log_probs(td["agents", "observation"]).exp()[..., 2].mean(0)


def gradients(module):
    return [torch.zeros(1) if p.grad is None else p.grad for p in module.parameters()]


# ---------------------------------------------------------------------- direction
def test_the_actor_ascends_the_critic(monkeypatch):
    """Q_i = 1 where agent i takes action 2, whatever the others do: all take it more often."""
    loss = maddpg_loss(entropy=0.0)

    def gain(state, action, sample):
        joint = own_replaced(action, sample).unflatten(-1, (N, A))  # [N critics, B, N, A]
        own = joint.diagonal(dim1=0, dim2=2)  # [B, A, N]
        return own[:, 2]

    monkeypatch.setattr(loss, "gain", gain)
    td = transitions(256)
    before = chance_of_action_2(loss, td)
    optimiser = torch.optim.SGD(loss.actor.parameters(), lr=0.1)
    loss(td)["loss_actor"].backward()
    optimiser.step()
    assert (chance_of_action_2(loss, td) > before + 1e-3).all()


def test_the_actor_loss_trains_the_actor_alone():
    loss = maddpg_loss()
    loss(transitions())["loss_actor"].backward()
    assert all(gradient.any() for gradient in gradients(loss.actor))
    for module in (loss.critic, loss.target_actor, loss.target_critic):
        assert not any(gradient.any() for gradient in gradients(module))


def test_the_critic_loss_trains_the_critic_alone():
    loss = maddpg_loss()
    loss(transitions())["loss_critic"].backward()
    assert all(gradient.any() for gradient in gradients(loss.critic))
    for module in (loss.actor, loss.target_actor, loss.target_critic):
        assert not any(gradient.any() for gradient in gradients(module))


# ---------------------------------------------------------------------- actions
def test_only_the_own_action_of_each_critic_is_replaced():
    """Critic 1 reads the sample of agent 1 and the recorded actions of agents 0 and 2."""
    recorded = torch.zeros(B, N, A)
    sample = torch.ones(B, N, A)
    joint = own_replaced(recorded, sample).unflatten(-1, (N, A))  # [N critics, B, N, A]
    assert torch.equal(joint[:, 0, :, 0], torch.eye(N))


def test_a_critic_with_one_joint_action_per_agent_equals_a_loop():
    critic = JointCritic(N, D, A, hidden=8)
    state = torch.randn(B, N, D)
    recorded = torch.randn(B, N, A)
    sample = torch.randn(B, N, A)
    found = critic(state, own_replaced(recorded, sample))
    for i in range(N):
        mixed = recorded.clone()
        mixed[:, i] = sample[:, i]
        assert torch.allclose(found[:, i], critic(state, mixed.flatten(1))[:, i], atol=1e-6)


def test_straight_through_samples_are_one_hot_and_differentiable():
    probabilities = torch.tensor([0.6, 0.3, 0.1])
    log_probs = probabilities.log().expand(20_000, 3).clone().requires_grad_()
    sample = straight_through(log_probs, 1.0)
    assert torch.allclose(sample.detach().max(-1).values, torch.ones(20_000))
    assert torch.allclose(sample.detach().mean(0), probabilities, atol=0.02)
    sample[:, 0].sum().backward()
    assert (log_probs.grad[:, 0] > 0).all()
    assert (log_probs.grad[:, 1:] < 0).all()


# ---------------------------------------------------------------------- options
@pytest.mark.parametrize("option", [{"entropy": 0.5}, {"temperature": 0.3}])
def test_every_option_changes_the_gradient_of_the_actor(option):
    found = []
    for options in ({}, option):
        torch.manual_seed(3)
        loss = maddpg_loss(**options)
        loss(transitions())["loss_actor"].backward()
        found.append(torch.cat([gradient.flatten() for gradient in gradients(loss.actor)]))
    assert not torch.allclose(*found, atol=1e-5)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"temperature": 0.0}, ("temperature=0", "positive")),
        ({"entropy": -1.0}, ("entropy=-1", "not negative")),
        ({"double": True}, ("MADDPGLoss has no option 'double'",)),
    ],
)
def test_a_bad_option_is_one_sentence(option, words, refused):
    with refused(*words):
        maddpg_loss(**option)
