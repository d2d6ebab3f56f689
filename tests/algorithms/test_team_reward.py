"""`algorithm.reward`: every agent's own reward, the team's mean, or learned parts of the sum."""

import pytest
import torch

from helpers import fit, parameters_of
from ilvf.algorithms import ILVFP, IPPO, MAPPO
from ilvf.algorithms.on_policy import SHARE
from ilvf.envs import Encircle
from ilvf.modules import (
    CategoricalActor,
    CentralCritic,
    InfluenceCritic,
    StateCritic,
)

N = 4
SMALL = {
    "num_envs": 4,
    "rollout_steps": 10,
    "epochs": 2,
    "minibatches": 2,
    "eval_every": 100,
    "eval_episodes": 2,
}


def make_env(num_envs=1, seed=0, device="cpu"):
    return Encircle(N, num_envs=num_envs, seed=seed, device=device, horizon=10)


@pytest.fixture(scope="module")
def sizes():
    env = make_env()
    return N, env.state_dim


@pytest.fixture
def actor():
    env = make_env()
    return CategoricalActor(N, env.observation_dim, 5, hidden=8)


def module_of(kind, actor, sizes, **options):
    torch.manual_seed(0)
    critic = StateCritic(*sizes, hidden=8)
    if kind is ILVFP:
        critic = InfluenceCritic(*sizes, 5, hidden=8)
    return kind(make_env, actor, critic, **SMALL, **options)


class Watching:
    """Keeps the rollout on which advantages were estimated."""

    def __init__(self, module):
        self.estimate = module.advantage
        self.tensor_keys = module.advantage.tensor_keys
        module.__dict__["advantage"] = self

    def __call__(self, rollout):
        self.rollout = self.estimate(rollout)
        return rollout

    def __getattr__(self, name):
        return getattr(self.estimate, name)


@pytest.mark.parametrize("kind", [ILVFP, MAPPO, IPPO])
@pytest.mark.parametrize("reward", ["team", "split"])
def test_advantages_are_those_of_the_shares(kind, reward, actor, sizes):
    """Σ_j r_j is kept, and advantages are estimated from the shares."""
    module = module_of(kind, actor, sizes, reward=reward, seed=1)
    watching = Watching(module)
    fit(module, 1)
    rollout = watching.rollout
    own = rollout["next", "agents", "reward"]
    share = rollout["next", *SHARE]
    assert torch.allclose(own.sum(-2), share.sum(-2), atol=1e-4)
    assert not torch.allclose(own, share, atol=1e-2)
    assert (reward == "team") == torch.allclose(share, share[..., :1, :].expand_as(share))
    replaced = rollout.clone()
    replaced["next", "agents", "reward"] = share
    key = module.advantage.tensor_keys.individual_advantage
    found = watching.estimate(rollout.clone())[key]
    watching.estimate.set_keys(reward=("agents", "reward"))
    assert torch.equal(found, watching.estimate(replaced)[key])


def test_scores_are_of_the_rewards_of_the_environment(actor, sizes):
    module = module_of(MAPPO, actor, sizes, reward="split")
    watching = Watching(module)
    fit(module, 1)
    mean = watching.rollout["next", "agents", "reward"].mean().item()
    assert module.last_metrics["reward/agent_step"] == pytest.approx(mean, abs=1e-5)


def test_the_model_learns_and_says_how_well(actor, sizes):
    module = module_of(IPPO, actor, sizes, reward="split")
    before = parameters_of(module.loss.reward_model)
    fit(module, 2)
    assert not torch.equal(before, parameters_of(module.loss.reward_model))
    assert 0 < module.last_metrics["loss/reward"] < 5
    assert module.last_metrics["reward/explained_variance"] < 1


def test_a_new_model_explains_nothing(actor, sizes):
    """Its share of the variance is that of the rollout's own rewards."""
    module = module_of(IPPO, actor, sizes, reward="split", lr=1e-9)
    for parameter in module.loss.reward_model.net.head.parameters():
        torch.nn.init.zeros_(parameter)
    fit(module, 2)
    assert module.last_metrics["reward/explained_variance"] == pytest.approx(0, abs=1e-4)


def test_own_rewards_have_no_model(actor, sizes):
    module = module_of(MAPPO, actor, sizes)
    assert module.loss.reward_model is None
    assert ("next", "agents", "reward") not in module.loss.batch_keys


@pytest.mark.parametrize("reward", ["team", "split"])
def test_one_value_of_the_team_refuses(reward, actor, sizes, refused):
    with refused(f"reward={reward} shares out the team's reward", "critic=central"):
        MAPPO(make_env, actor, CentralCritic(*sizes, hidden=8), **SMALL, reward=reward)
