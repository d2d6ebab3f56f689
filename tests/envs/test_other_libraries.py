"""Training on an environment of another library, VMAS, as it is."""

import functools

import pytest
import torch

from env_helpers import vmas_navigation
from helpers import bare_trainer, fit, parameters_of
from ilvf import ILVFP, CategoricalActor, InfluenceCritic, check_env


@pytest.mark.slow
def test_ilvf_p_trains_on_vmas():
    """It reads observations instead of states, and counts the episodes itself."""
    make = functools.partial(vmas_navigation, max_steps=8)
    facts = check_env(make(num_envs=2))
    n = facts.n_agents
    actor = CategoricalActor(n, facts.observation_dim, facts.n_actions, hidden=8)
    critic = InfluenceCritic(n, facts.state_dim, facts.n_actions, hidden=8)
    training = dict(num_envs=4, rollout_steps=8, epochs=2, minibatches=2)
    evaluation = dict(eval_every=1, eval_episodes=3, eval_steps=8)
    module = ILVFP(make, actor, critic, state_key=facts.state_key, **training, **evaluation)
    before = parameters_of(module)
    fit(module, 2)
    assert not torch.equal(before, parameters_of(module))
    metrics = module.last_metrics
    assert metrics["eval/episode/length"] == 8
    team = metrics["eval/reward/agent_step"] * 8 * n
    assert metrics["eval/return/team"] == pytest.approx(team, rel=1e-4)


def test_an_environment_without_a_horizon_needs_eval_steps(refused):
    actor = CategoricalActor(3, 18, 9, hidden=8)
    critic = InfluenceCritic(3, 18, 9, hidden=8)
    module = ILVFP(
        vmas_navigation, actor, critic, state_key="observation", num_envs=2, rollout_steps=4
    )
    with refused("horizon", "eval_steps"):
        bare_trainer(1).fit(module)
