"""The episodes that the command `traffic` plays: queues, seeds, faults of the simulator."""

import os
import signal

import pytest
import torch

from ilvf.commands import traffic
from ilvf.data.evaluation import EVALUATION_SEED, evaluate
from ilvf.envs import make_env


# ---------------------------------------------------------------------- queues
@pytest.mark.parametrize("per", ["lane", "link"])
def test_the_queues_of_a_signal_are_its_negative_reward(per, town, random_play):
    """−r_i = Σ of the halting vehicles on the signal's lanes or links, in every step."""
    env = town(per=per)
    rollout = random_play(env)
    queues = rollout["next", "queues"]
    for i, one in enumerate(env.network.signals):
        lanes = one.lanes if per == "lane" else one.link_lanes
        places = [env.network.lanes.index(lane) for lane in lanes]
        cost = -rollout["next", "agents", "reward"][..., i, 0]
        assert torch.equal(queues[..., places].sum(-1), cost)
    assert rollout["next", "done"].flatten(1).nonzero().tolist() == [[0, 19], [1, 19]]
    assert (queues[:, -1].sum(-1) > 0).all()
    assert not torch.equal(*queues)


def test_queues_on_detectors():
    """In the large grid the rewards count vehicles on detectors, and so do the queues."""
    env = make_env("large_grid", seconds=150, seed=0)
    try:
        rollout = traffic.play(env, env.rules["fixed_cycle"](), seed=0, deterministic=True)
        lanes = env.network.lanes
        signals = env.network.signals
    finally:
        env.close()
    queues = []
    for one in signals:
        places = [lanes.index(lane) for lane in one.link_lanes]
        queues.append(rollout["next", "queues"][..., places].sum(-1))
    queues = torch.stack(queues, -1)
    assert torch.equal(queues, -rollout["next", "agents", "reward"].squeeze(-1))
    assert queues.sum() > 100


def test_queues_are_not_read_in_worker_processes(town, refused):
    env = town(workers=2, seconds=50)
    with refused("workers=0"):
        env.queues()


# ---------------------------------------------------------------------- episodes
def test_every_policy_plays_the_episodes_of_evaluate(town, random_play):
    """Whatever was played in the environment before."""
    env = town()
    random_play(env)
    rollout = traffic.play(env, env.rules["greedy"](), seed=3, deterministic=True)
    env = town(seed=EVALUATION_SEED + 3)
    _, expected = evaluate(env, env.rules["greedy"](), max_steps=env.horizon)
    assert torch.equal(rollout["next", "agents", "reward"], expected["next", "agents", "reward"])
    assert torch.equal(rollout["agents", "action"], expected["agents", "action"])


def test_an_interrupted_episode_counts_for_no_policy(town, random_play, refused):
    """The simulator of the second copy is killed in the fourth step."""
    env = town()
    whole = random_play(env)
    greedy = env.rules["greedy"]()

    def greedy_until_killed(td):
        if (td["episode", "length"] == 3).all():
            os.kill(env.copies.envs[1].simulation.pid, signal.SIGKILL)
        return greedy(td)

    with pytest.warns(UserWarning, match="SIGKILL"):
        broken = traffic.play(env, greedy_until_killed, seed=0, deterministic=True)
    assert broken["next", "done"][1].flatten().tolist() == [False] * 3 + [True] * 17
    assert traffic.uninterrupted({"a": whole, "b": broken}).tolist() == [True, False]
    assert traffic.uninterrupted({"a": whole}).tolist() == [True, True]
    with refused("every episode was interrupted"):
        traffic.uninterrupted({"a": whole[1:], "b": broken[1:]})
