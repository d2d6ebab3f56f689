"""`RewardModel`: its parts sum to the team's reward, and find who got what."""

import pytest
import torch

from ilvf.modules import RewardModel
from ilvf.modules.reward_model import equal_shares

N = 3  # agents
D = 4  # numbers of an observation
A = 5  # actions
ROWS = 256


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def model():
    return RewardModel(N, D, A, hidden=16)


@pytest.fixture
def outcome():
    """Rewards that depend on each agent's own observation and action; only their sum is told."""
    observation = torch.randn(ROWS, N, D)
    action = torch.randint(A, (ROWS, N))
    reward = 3 * (action == 0).float() - action + torch.tensor([0.0, 5.0, 10.0])
    return reward.unsqueeze(-1), observation, action


@pytest.fixture
def living():
    """One agent is dead in row 0, and all are in row 1."""
    alive = torch.ones(ROWS, N, 1, dtype=torch.bool)
    alive[0, 1] = False
    alive[1] = False
    return alive


def test_the_parts_sum_to_the_teams_reward(model, outcome, living):
    reward, *inputs = outcome
    model.moments.update(reward.sum(-2, keepdim=True))
    total = reward.sum(-2)
    assert torch.allclose(model.split(reward, *inputs).sum(-2), total, atol=1e-4)
    assert torch.allclose(model.split(reward, *inputs, living).sum(-2), total, atol=1e-4)


def test_only_the_sum_is_read(model, outcome):
    reward, *inputs = outcome
    model.moments.update(reward.sum(-2, keepdim=True))
    shuffled = reward[:, torch.randperm(N)]
    assert torch.allclose(model.split(reward, *inputs), model.split(shuffled, *inputs), atol=1e-5)
    assert torch.allclose(model.error(reward, *inputs), model.error(shuffled, *inputs), atol=1e-5)


def test_dead_agents_get_nothing(model, outcome, living):
    reward, *inputs = outcome
    assert not model(*inputs, living)[~living].any()
    assert not model.split(reward, *inputs, living)[0, 1].any()


def test_what_a_dead_agent_observes_does_not_matter(model, outcome, living):
    reward, observation, action = outcome
    model.moments.update(reward.sum(-2, keepdim=True))
    blind = observation.masked_fill(~living, torch.nan)
    model.error(reward, blind, action, living).square().mean().backward()
    learned = [p for p in model.parameters() if p.requires_grad]
    assert all(p.grad.isfinite().all() for p in learned)


def test_equal_shares_by_hand(living):
    """A reward of 6, 0, 0 gives 2 each; 3 each where agent 1 is dead."""
    reward = torch.tensor([6.0, 0, 0]).view(1, N, 1).expand(2, N, 1)
    assert equal_shares(reward).flatten().tolist() == [2.0] * 6
    assert equal_shares(reward, living[:2]).flatten().tolist() == [3.0, 0.0, 3.0, 2.0, 2.0, 2.0]


def test_it_learns_who_got_what_from_the_sum(model, outcome):
    """The parts follow each agent's reward, up to a constant of every agent."""
    reward, *inputs = outcome
    model.moments.update(reward.sum(-2, keepdim=True))
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(300):
        optimiser.zero_grad()
        model.error(reward, *inputs).square().mean().backward()
        optimiser.step()
    assert model.error(reward, *inputs).abs().mean() < 0.1
    found = model.split(reward, *inputs).squeeze(-1)
    for agent, (part, truth) in enumerate(zip(found.T, reward.squeeze(-1).T, strict=True)):
        assert torch.corrcoef(torch.stack([part, truth]))[0, 1] > 0.95, agent


def test_the_moments_are_in_the_state_dict(model, outcome):
    model.moments.update(outcome[0].sum(-2, keepdim=True))
    other = RewardModel(N, D, A, hidden=16)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.split(*outcome), model.split(*outcome))


def test_a_wrong_size_is_one_sentence(model, outcome, refused):
    reward, observation, action = outcome
    with refused("the reward model was built for 3 agents with states of 4 numbers"):
        model.split(reward, observation[..., :3], action)
