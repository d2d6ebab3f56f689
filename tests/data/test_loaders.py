"""Loaders: what a pass collects, in which order minibatches come, and how many."""

import pytest
import torch
from tensordict import TensorDict

from ilvf.data.rollout import ReplayLoader, RolloutLoader, shuffled

FRAMES = 10


def batch(start=0):
    return TensorDict({"frame": torch.arange(start, start + FRAMES)}, [FRAMES])


class Source:
    """Counts the rollouts that it collects, and records what it renews."""

    def __init__(self):
        self.collected = 0
        self.renewed = []

    def collect(self):
        self.collected += 1
        return batch(FRAMES * (self.collected - 1))

    def renew(self, rollout):
        self.renewed.append(rollout["frame"][0].item())


@pytest.mark.parametrize("pieces", [1, 2, 3])
def test_every_row_is_in_one_piece(pieces):
    torch.manual_seed(0)
    parts = list(shuffled(batch(), pieces))
    assert len(parts) == pieces
    rows = torch.cat([part["frame"] for part in parts])
    assert rows.sort().values.tolist() == list(range(FRAMES))
    assert (rows.tolist() == list(range(FRAMES))) == (pieces == 1)
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1


def test_a_pass_collects_once_and_visits_every_frame_in_each_epoch():
    source = Source()
    loader = RolloutLoader(source.collect, epochs=3, minibatches=2, renew=source.renew)
    assert len(loader) == 6
    for first in (0, FRAMES):
        parts = list(loader)
        assert len(parts) == len(loader)
        for epoch in range(3):
            rows = torch.cat([part["frame"] for part in parts[2 * epoch : 2 * epoch + 2]])
            assert rows.sort().values.tolist() == list(range(first, first + FRAMES))
    assert source.collected == 2
    assert source.renewed == [0, 0, FRAMES, FRAMES]  # before the second and third epoch


def test_epochs_have_different_orders():
    torch.manual_seed(0)
    parts = list(RolloutLoader(batch, epochs=2, minibatches=2))
    first, second = (torch.cat([p["frame"] for p in parts[k : k + 2]]) for k in (0, 2))
    assert not torch.equal(first, second)


def test_a_replay_pass_collects_once_and_samples_for_each_update():
    source = Source()
    samples = iter(range(100))
    loader = ReplayLoader(source.collect, lambda: next(samples), updates=4)
    assert len(loader) == 4
    assert list(loader) == [0, 1, 2, 3]
    assert list(loader) == [4, 5, 6, 7]
    assert source.collected == 2
