"""The score test on the library's environments: no false alarm, and true links are found."""

import pytest
import torch

from ilvf.credit import ILVFAdvantage, ScoreInfluence
from ilvf.credit.estimators import gae
from ilvf.credit.sources import AgentSignals
from ilvf.envs import make_env
from ilvf.modules import CategoricalActor

ROLLOUTS = 5
TASKS = {  # environment, its options, number of environments, steps
    "encircle, many episodes": ("encircle", {"n_agents": 10}, 48, 50),
    "encircle, few episodes": ("encircle", {"n_agents": 10}, 8, 50),
    "prey": ("capture_prey", {}, 16, 80),
    "slow-down": ("cacc", {"scenario": "slow-down", "action_repeat": 5}, 16, 120),
    "catch-up, few episodes": ("cacc", {"scenario": "catch-up", "action_repeat": 5}, 4, 120),
}


class OfTheNeighbours(ScoreInfluence):
    """Tests the rewards of the next environment, which the actions of this one cannot move."""

    def observe(self, rollout, signals):
        parts = {key: getattr(signals, key) for key in ("reward", "done", "advantage", "alive")}
        moved = {key: None if x is None else x.roll(1, 0) for key, x in parts.items()}
        super().observe(rollout, AgentSignals(**moved, time=signals.time))


def observed(kind, task):
    """A source of this kind after some rollouts of a random policy; z of every rollout."""
    name, options, num_envs, steps = TASKS[task]
    torch.manual_seed(0)
    env = make_env(name, num_envs=num_envs, seed=0, **options)
    actor = CategoricalActor(
        env.n_agents, env.observation_dim, env.n_actions, masked=env.masked, gain=1.0, hidden=16
    )
    source = kind(actor)
    advantage = ILVFAdvantage(gae(0.99, 0.95), influence=source)
    rollouts = []
    for _ in range(ROLLOUTS):
        td = env.rollout(steps, actor, break_when_any_done=False).detach()
        for place in (td, td["next"]):
            place["agents", "state_value"] = torch.zeros(*td.shape, env.n_agents, 1)
        before = source.z_sum.clone()
        advantage(td)
        rollouts.append(source.z_sum - source.options.test_memory * before)
    return env, source, torch.stack(rollouts)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_without_influence_z_is_normal_and_nothing_is_a_link(task):
    _, source, z = observed(OfTheNeighbours, task)
    assert z.mean().abs() < 0.15
    assert 0.85 < z.std() < 1.15
    assert z.max() < 4.5
    assert not (source.z > source.options.evidence).any()


@pytest.mark.slow
def test_direct_links_of_encircle_are_found_and_no_impossible_one():
    env, source, _ = observed(ScoreInfluence, "encircle, many episodes")
    links = source.z > source.options.evidence
    direct = env.reward_graph.T & ~torch.eye(10, dtype=torch.bool)
    possible = env.influence_graph | torch.eye(10, dtype=torch.bool)
    assert links[direct].float().mean() >= 0.8
    assert not links[~possible].any()
