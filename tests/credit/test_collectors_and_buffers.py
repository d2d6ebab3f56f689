"""`ILVFAdvantage` inside TorchRL's collectors and replay buffers."""

import pytest
import torch
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, ReplayBuffer, SamplerWithoutReplacement

from credit_helpers import B, N, T, acted_rollout, gae, influence_values
from ilvf.credit import ILVFAdvantage
from ilvf.envs import Encircle
from ilvf.modules import CategoricalActor, InfluenceCritic


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_as_the_postproc_of_a_collector():
    env = Encircle(4, num_envs=3, horizon=5, seed=0)
    actor = CategoricalActor(4, env.observation_dim, env.n_actions, hidden=8)
    critic = InfluenceCritic(4, env.state_dim, env.n_actions, hidden=8)
    advantage = ILVFAdvantage(gae(), critic.value_module())
    collector = Collector(env, actor, frames_per_batch=30, total_frames=30, postproc=advantage)
    (td,) = collector
    collector.shutdown()
    assert td["agents", "advantage"].shape == (3, 10, 4, 1)
    again = advantage(td.exclude(("agents", "advantage"), ("agents", "influence_weight")))
    assert torch.allclose(again["agents", "advantage"], td["agents", "advantage"], atol=1e-5)


def test_as_the_transform_of_a_replay_buffer():
    """A row of the buffer is a whole trajectory, so a sample is `[rows, T]`."""
    value = influence_values()
    buffer = ReplayBuffer(
        storage=LazyTensorStorage(B), sampler=SamplerWithoutReplacement(), batch_size=4
    )
    buffer.append_transform(ILVFAdvantage(gae(), value))
    buffer.extend(acted_rollout())
    sample = buffer.sample()
    assert sample["agents", "advantage"].shape == (4, T, N, 1)
    expected = ILVFAdvantage(gae(), value)(sample.exclude(("agents", "advantage")))
    assert torch.allclose(sample["agents", "advantage"], expected["agents", "advantage"], atol=1e-5)
