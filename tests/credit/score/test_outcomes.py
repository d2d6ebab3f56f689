"""The signals of the score test: ranks of changes in the rewards, and of advantages."""

import pytest
import torch
from scipy.stats import rankdata

from ilvf.credit.score.outcomes import WINDOWS, centred_ranks, changes, outcome_ranks


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def changes_by_loop(reward, done, window):
    """Σ_{k<m} (r_{t+k} − r_{t−1}), step by step, of `[E, T, N]`."""
    envs, steps, agents = reward.shape
    found = torch.zeros_like(reward)
    for e in range(envs):
        for n in range(agents):
            for t in range(1, steps):
                for k in range(min(window, steps - t)):
                    found[e, t, n] += reward[e, t + k, n] - reward[e, t - 1, n]
                    if done[e, t + k, n]:
                        break
    return found


def test_changes_are_summed_until_the_episode_ends():
    reward = torch.randn(3, 25, 2)
    done = torch.rand(3, 25, 2) < 0.1
    for window, found in zip(WINDOWS, changes(reward, done), strict=True):
        expected = changes_by_loop(reward, done, window)
        assert torch.allclose(found[:, 1:], expected[:, 1:], atol=1e-5)


def test_constant_rewards_change_by_exactly_zero():
    reward = torch.full((2, 20, 3), 0.1)
    for found in changes(reward, torch.zeros(2, 20, 3, dtype=torch.bool)):
        assert not found.any()


def test_ranks_are_those_of_scipy():
    """Equal values share the mean of their ranks; invalid entries do not count."""
    value = torch.randint(6, (4, 30)).float()
    valid = torch.rand(4, 30) < 0.8
    found = centred_ranks(value, valid)
    for row, lives, ranks in zip(value, valid, found, strict=True):
        expected = torch.from_numpy(rankdata(row[lives]))
        count = lives.sum()
        assert torch.allclose(ranks[lives].double(), (expected - (count + 1) / 2) / count)
        assert not ranks[~lives].any()


def test_first_steps_and_dead_agents_have_no_signal():
    reward = torch.randn(4, 12, 3)
    done = torch.zeros(4, 12, 3, dtype=torch.bool)
    done[:, 5] = True
    alive = torch.ones_like(done)
    alive[:, 8:, 2] = False
    x = outcome_ranks(reward, done, alive).unflatten(-1, (-1, 3))
    assert x.shape == (4, 12, len(WINDOWS), 3)
    assert not x[:, 0].any()
    assert not x[:, 6].any()
    assert x[:, 5].abs().min() > 0
    assert not x[:, 8:, :, 2].any()
    assert torch.allclose(x.sum((0, 1)), torch.zeros(len(WINDOWS), 3), atol=1e-5)
