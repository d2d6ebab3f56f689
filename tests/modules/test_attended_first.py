"""Critics that choose the agents that they see, by attention."""

import math

import pytest
import torch
from torch.nn import functional as F

from ilvf.errors import UsageError
from ilvf.modules import AttendedFirst, StateCritic
from ilvf.modules.critics import attended_first
from ilvf.modules.critics.attended_first import WIDTH, most_similar, taken
from ilvf.modules.options import NetworkOptions

N = 6  # agents
D = 4  # numbers of a state
B = 5  # rows
K = 2  # agents that are seen
H = 8  # hidden units


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def randomised(module):
    """With biases that are not 0, which tell agents apart."""
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    return module


@pytest.mark.parametrize("share", [False, True])
def test_it_is_the_equations(share):
    first = randomised(AttendedFirst(N, D, K, NetworkOptions(hidden=H, share=share)))
    rows = torch.randn(B, N, D)
    states = F.layer_norm(rows, (D,))
    parts = first.parts(states.transpose(0, 1)).transpose(0, 1)
    q, k, v = parts.split(WIDTH, -1)
    scores = q @ k.transpose(-1, -2) / math.sqrt(WIDTH)
    scores = scores.masked_fill(torch.eye(N, dtype=torch.bool), -torch.inf)
    least = scores.topk(K).values[..., -1:]
    scores = scores.masked_fill(scores < least, -torch.inf)
    alpha = scores.exp() / (1 + scores.exp().sum(-1, keepdim=True))
    seen = alpha @ torch.relu(v)
    own = first.of_own(states.transpose(0, 1))
    wanted = own + seen.transpose(0, 1) @ first.of_others.weight
    assert torch.allclose(first(rows), wanted, atol=1e-5)


def test_the_chosen_are_the_same_in_chunks(monkeypatch):
    query, key = torch.randn(2, B, N, 3)
    whole = most_similar(query, key, K).sort().values
    monkeypatch.setattr(attended_first, "CHUNK", 2 * N * N)
    assert torch.equal(most_similar(query, key, K).sort().values, whole)
    assert not (whole == torch.arange(N).unsqueeze(-1)).any()


def test_rows_are_taken_by_the_numbers_of_each_state():
    x = torch.randn(B, N, D)
    index = torch.randint(N, (B, N, K))
    assert torch.equal(taken(x, index)[3, 1], x[3, index[3, 1]])


def test_queries_keys_and_values_learn():
    first = AttendedFirst(N, D, K, NetworkOptions(hidden=H))
    first(torch.randn(B, N, D)).square().sum().backward()
    assert all(bool((part != 0).any()) for part in first.parts.weight.grad.split(WIDTH, -1))


def test_it_learns_whom_to_see():
    """A value that is a number of ONE other agent, which a flag in its state marks."""
    n = 12
    critic = StateCritic(n, 3, attended=3, share=True, input_norm="none")
    optimiser = torch.optim.Adam(critic.parameters(), lr=3e-3)
    errors = []
    for _ in range(150):
        marked = torch.randint(n, (64,))
        state = torch.randn(64, n, 3)
        state[..., 0] = F.one_hot(marked, n)
        wanted = state[torch.arange(64), marked, 1].view(-1, 1, 1)
        others = 1 - F.one_hot(marked, n).unsqueeze(-1)
        error = ((critic(state) - wanted).square() * others).sum() / others.sum()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        errors.append(error.item())
    assert errors[0] > 0.8
    assert sum(errors[-10:]) / 10 < 0.4


def test_more_than_all_others_are_all_others():
    assert AttendedFirst(N, D, 99, NetworkOptions()).attended == N - 1


def test_a_critic_with_memory_can_choose():
    critic = StateCritic(N, D, attended=K, recurrent="gru")
    value = critic(torch.randn(B, N, D), torch.zeros(B, N, 64))
    assert value.shape == (B, N, 1)
    assert not critic.sees_all


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"shared_first": True}, "shared_first is for critics of all agents"),
        ({"neighbours": torch.arange(N).unsqueeze(-1)}, "attended are chosen"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(more, sentence):
    with pytest.raises(UsageError, match=sentence):
        StateCritic(N, D, attended=K, **more)


def test_a_single_agent_is_one_sentence():
    with pytest.raises(UsageError, match="a single agent has no others"):
        StateCritic(1, D, attended=K)
