"""Losses and normalization with dead agents: `("agents", "mask")` is True for living agents."""

import copy

import pytest
import torch
from tensordict import TensorDict

from helpers import random_transitions
from ilvf.losses import ILVFLoss, MADDPGLoss, QMIXLoss
from ilvf.modules import (
    CategoricalActor,
    GreedyActor,
    InfluenceCritic,
    JointCritic,
    Mixer,
    ValueNorm,
)

N = 3  # agents
D = 4  # numbers of a state
A = 5  # actions


class TestPPOLoss:
    @pytest.fixture
    def loss(self):
        torch.manual_seed(1)
        actor = CategoricalActor(N, D, A, hidden=8, gain=1.0)
        return ILVFLoss(actor, InfluenceCritic(N, D, A, hidden=8), entropy=0.5)

    @pytest.fixture
    def batch(self, loss):
        """Six rows with random advantages and targets."""
        state = torch.randn(6, N, D)
        with torch.no_grad():
            td = loss.actor(TensorDict({"agents": {"observation": state, "state": state}}, [6]))
        for key in ("advantage", "value_target", "normalised_value", "state_value"):
            td["agents", key] = torch.randn(6, N, 1)
        return td

    @staticmethod
    def terms(loss, batch):
        """The terms of the loss, with the same random numbers in every call."""
        torch.manual_seed(0)
        return loss(batch)

    def test_a_mask_of_living_agents_changes_nothing(self, loss, batch):
        without = self.terms(loss, batch)
        batch["agents", "mask"] = torch.ones(6, N, dtype=torch.bool)
        for name, value in self.terms(loss, batch).items():
            assert torch.equal(value, without[name])

    def test_the_diagnostics_are_means_over_living_agents(self, loss, batch):
        mask = torch.tensor([True, True, False]).expand(6, N).clone()
        mask[1:, 0] = False
        batch["agents", "mask"] = mask
        batch["agents", "action_log_prob"] -= 0.5 * torch.rand(6, N)
        log_prob, entropy = loss.actor.evaluate(batch)
        ratio = (log_prob - batch["agents", "action_log_prob"]).exp()[mask]
        terms = self.terms(loss, batch)
        assert terms["entropy"].item() == pytest.approx(entropy[mask].mean().item())
        clipped = ((ratio - 1).abs() > 0.2).float().mean()
        assert 0 < clipped < 1
        assert terms["clip_fraction"].item() == pytest.approx(clipped.item())
        assert terms["kl"].item() == pytest.approx(
            (ratio - 1 - ratio.log()).mean().item(), rel=1e-4
        )

    def test_a_batch_of_dead_agents_has_finite_terms(self, loss, batch):
        batch["agents", "mask"] = torch.zeros(6, N, dtype=torch.bool)
        assert all(value == 0 for value in self.terms(loss, batch).values())

    def test_dead_agents_have_no_part_in_the_loss(self, loss, batch):
        """Agent 2 is dead; its networks get no gradient."""
        batch["agents", "mask"] = torch.tensor([True, True, False]).expand(6, N)
        small = self.terms(loss, batch)
        batch["agents", "advantage"][:, 2] = 1e6
        batch["agents", "value_target"][:, 2] = 1e6
        terms = self.terms(loss, batch)
        for name, value in terms.items():
            assert torch.equal(value, small[name]), name
        sum(value for name, value in terms.items() if name.startswith("loss_")).backward()
        for network in (loss.actor.net.head, loss.critic.action_value.head):
            gradient = network.weight.grad
            assert gradient[:2].abs().sum(dim=(1, 2)).min() > 0
            assert not gradient[2].any()


def test_maddpgs_target_of_dead_agents_is_their_reward():
    """γ = 0.9 and Q(s', a') = 10: 1 + 0.9 · 10 for the living, 1 for agent 1."""
    actor = CategoricalActor(N, D, A, hidden=8)
    critic = JointCritic(N, D, A, hidden=8)
    loss = MADDPGLoss(actor, critic, gamma=0.9, normalize_values=False)
    for parameter in loss.target_critic.parameters():
        parameter.data.fill_(0.0)
    loss.target_critic.net.head.bias.data.fill_(10.0)
    rows = 4
    state = torch.randn(rows, N, D)
    agents = {"observation": state, "state": state}
    agents["action"] = torch.zeros(rows, N, dtype=torch.long)
    next_agents = {"observation": state, "state": state, "reward": torch.ones(rows, N, 1)}
    next_agents["mask"] = torch.tensor([True, False, True]).expand(rows, N)
    later = {"agents": next_agents, "terminated": torch.zeros(rows, 1).bool()}
    td = TensorDict({"agents": agents, "next": later}, [rows])
    assert loss.target(td)[0].flatten().tolist() == [10.0, 1.0, 10.0]


class TestMADDPGLoss:
    ROWS = 6

    @pytest.fixture
    def batch(self):
        """Agent 1 is dead in rows 2 to 5, where its reward is 0; agent 2 is always dead."""
        td = random_transitions(self.ROWS, N, D, D, A)
        mask = torch.ones(self.ROWS, N, dtype=torch.bool)
        mask[2:, 1] = False
        mask[:, 2] = False
        td["agents", "mask"] = mask
        td["next", "agents", "mask"] = mask
        td["next", "agents", "reward"].masked_fill_(~mask.unsqueeze(-1), 0)
        return td

    @staticmethod
    def loss():
        torch.manual_seed(1)
        actor = CategoricalActor(N, D, A, hidden=8, gain=1.0)
        return MADDPGLoss(actor, JointCritic(N, D, A, hidden=8), entropy=0.5)

    def test_the_normalization_counts_living_agents_only(self, batch):
        loss = self.loss()
        loss(batch)
        reward = batch["next", "agents", "reward"][..., 0]
        mean, std = loss.norm.rewards.moments()
        expected = [reward[:, 0].mean().item(), reward[:2, 1].mean().item(), 0.0]
        assert mean.flatten().tolist() == pytest.approx(expected, abs=1e-5)
        assert std[1].item() == pytest.approx(reward[:2, 1].std(correction=0).item(), abs=1e-5)

    def test_the_reward_of_a_dead_agent_changes_nothing(self, batch):
        terms = []
        for reward in (0.0, 1e6):
            batch["next", "agents", "reward"][:, 2] = reward
            loss = self.loss()
            torch.manual_seed(0)
            terms.append(loss(batch))
        for name, value in terms[0].items():
            assert torch.equal(value, terms[1][name]), name

    def test_the_entropy_is_the_mean_over_living_agents(self, batch):
        loss = self.loss()
        found = loss(batch)["entropy"]
        log_probs = loss.actor.log_probs(batch["agents", "observation"])
        entropy = -(log_probs.exp() * log_probs).sum(-1)
        expected = entropy[batch["agents", "mask"]].mean()
        assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_qmix_is_not_paid_for_dead_agents():
    """Their reward counts neither in the target nor in the normalization."""
    td = random_transitions(6, N, D, D, A)
    td["agents", "mask"] = torch.tensor([True, True, False]).expand(6, N)
    loss = QMIXLoss(GreedyActor(N, D, A, hidden=8), Mixer("vdn", N, D))
    assert ("agents", "mask") in loss.optional_keys
    terms = []
    for reward in (0.0, 1e6):
        td["next", "agents", "reward"][:, 2] = reward
        terms.append(copy.deepcopy(loss)(td))
    for name, value in terms[0].items():
        assert torch.equal(value, terms[1][name]), name


# ---------------------------------------------------------------------- normalization
def test_a_value_norm_counts_living_agents_only():
    """Agent 0 lives with 1 and 3 and is dead in the third row; agent 1 is always dead."""
    values = torch.tensor([[[1.0], [7.0]], [[3.0], [7.0]], [[1e6], [7.0]]])
    mask = torch.tensor([[True, False], [True, False], [False, False]]).unsqueeze(-1)
    norm = ValueNorm((2, 1))
    norm.update(values, mask)
    mean, std = norm.moments()
    assert mean.flatten().tolist() == pytest.approx([2.0, 0.0])
    assert std[0].item() == pytest.approx(1.0)  # (1 + 1) / 2


def test_a_value_norm_keeps_the_moments_of_a_dead_agent():
    """Agent 1 lives with values of 7 and is dead in the next update."""
    values = torch.tensor([[[1.0], [7.0]], [[3.0], [7.0]]])
    norm = ValueNorm((2, 1))
    norm.update(values, torch.ones(2, 2, 1, dtype=torch.bool))
    norm.update(values, torch.tensor([[True, False]] * 2).unsqueeze(-1))
    mean, _ = norm.moments()
    assert mean[1].item() == pytest.approx(7.0)
