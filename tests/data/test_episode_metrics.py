"""Returns and lengths of evaluation episodes."""

import functools

import pytest
import torch
from mpe2 import simple_spread_v3
from tensordict import TensorDict
from torchrl.envs import PettingZooWrapper, SerialEnv

from env_helpers import example
from ilvf.data.evaluation import episode_metrics, episode_sums, evaluate
from ilvf.modules import CategoricalActor

Rooms = example("own_env").Rooms  # an environment that does not count returns and lengths


def heater_off(td):
    return td.set(("agents", "action"), torch.zeros(td.shape[0], 4, dtype=torch.long))


@pytest.mark.parametrize(("horizon", "length"), [(3, 3), (9, 5)])
def test_only_first_episodes_count(horizon, length):
    """Played for 5 steps: episodes of 3 end before, those of 9 are cut off."""
    env = Rooms(4, num_envs=2, horizon=horizon)
    metrics, rollout = evaluate(env, heater_off, max_steps=5)
    counted = rollout["next", "agents", "reward"][:, :length]
    assert metrics["return/team"] == pytest.approx(counted.sum().item() / 2, rel=1e-5)
    assert metrics["episode/length"] == length


def simple_spread(cycles):
    env = simple_spread_v3.parallel_env(max_cycles=cycles)
    group_map = {"agents": list(env.possible_agents)}
    return PettingZooWrapper(env, group_map=group_map, categorical_actions=True)


def test_the_length_is_the_mean_over_environments():
    """Episodes of 5 and 9 steps, played for 12."""
    env = SerialEnv(2, [functools.partial(simple_spread, cycles) for cycles in (5, 9)])
    metrics, _ = evaluate(env, CategoricalActor(3, 18, 5, hidden=8), max_steps=12)
    assert metrics["episode/length"] == 7


# ---------------------------------------------------------------------- interrupted episodes
def rollout_of_two_steps(returns, interrupted):
    """A rollout `[B, 3]` whose first episodes end in the second step with these statistics."""
    b = len(returns)
    ends = torch.tensor([False, True, False]).view(1, 3, 1).expand(b, 3, 1)
    statistics = {"return": returns, "interrupted": interrupted}
    episode = {}
    for name, values in statistics.items():
        at_the_end = torch.tensor(values, dtype=torch.float32).view(b, 1, 1)
        episode[name] = ends * at_the_end
    agents = {"reward": torch.ones(b, 3, 4, 1)}
    return TensorDict({"next": {"agents": agents, "done": ends, "episode": episode}}, [b, 3])


def test_a_statistic_may_be_unknown_before_the_end():
    rollout = rollout_of_two_steps([10, 30], [0, 0])
    statistic = rollout["next", "episode", "return"]
    rollout["next", "episode", "return"] = statistic.masked_fill(statistic == 0, float("nan"))
    sums = episode_sums(rollout)
    assert sums["episode/return"] == 40


@pytest.mark.parametrize(
    ("interrupted", "team_return", "share"),
    [([0, 0, 0], 20, 0), ([0, 1, 0], 15, 1 / 3), ([1, 1, 1], None, 1)],
)
def test_interrupted_episodes_do_not_count_in_returns(interrupted, team_return, share):
    """Returns of 10, 30 and 20; rewards per step count in any case."""
    sums = episode_sums(rollout_of_two_steps([10, 30, 20], interrupted))
    metrics = episode_metrics({name: float(x) for name, x in sums.items()})
    assert metrics.get("return/team") == team_return
    assert metrics["episode/interrupted"] == pytest.approx(share)
    assert metrics["reward/agent_step"] == 1
