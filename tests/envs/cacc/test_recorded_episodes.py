"""CACC against recorded episodes of the reference."""

import numpy as np
import pytest
import torch

from cacc_helpers import PENALTY, begin, step
from env_helpers import recording, recordings
from ilvf.envs import CACC

SCENARIO = {"catchup": "catch-up", "slowdown": "slow-down"}  # name in the recordings: ours


def test_all_recordings_are_here():
    assert len(recordings("cacc_*")) == 16


def recorded(scenario, train):
    """The recorded episodes of one scenario, with or without the soft penalty of training."""
    traces = [recording(name) for name in recordings(f"cacc_*_{scenario}_*")]
    return [trace for trace in traces if bool(trace["train_mode"]) == train]


def replay(env, traces):
    """Play recorded actions side by side, the last one again after the end of an episode.

    Returns:
        (worlds before and after each step, tensordicts before and after each step).
    """
    td = begin(env, [trace["h0"] for trace in traces], [trace["v0"] for trace in traces])
    worlds = [env.world]
    tensordicts = [td]
    for t in range(max(len(trace["actions"]) for trace in traces)):
        action = [trace["actions"][min(t, len(trace["actions"]) - 1)] for trace in traces]
        td = step(env, td, np.array(action))
        worlds.append(env.world)
        tensordicts.append(td)
    return worlds, tensordicts


def assert_close(found, expected, rtol=1e-5, atol=1e-5):
    expected = torch.as_tensor(expected).double()
    torch.testing.assert_close(found.double(), expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("scenario", SCENARIO)
def test_recorded_episodes(scenario, train):
    """All episodes of one kind side by side: every array at every step."""
    traces = recorded(scenario, train)
    assert traces
    env = CACC(SCENARIO[scenario], num_envs=len(traces), seed=0).train(train)
    worlds, tensordicts = replay(env, traces)
    for i, trace in enumerate(traces):
        steps = len(trace["actions"])
        assert trace["h0"].shape == (env.n_agents,)
        assert trace["horizon"] == env.horizon
        assert trace["check_every"] == env.options.collision_check_every
        assert trace["collision_penalty"] == env.options.collision_penalty == PENALTY
        compare_worlds(worlds[: steps + 1], i, trace)
        compare_outcomes(tensordicts[1 : steps + 1], i, trace)
        compare_observations(tensordicts, i, trace)


def compare_worlds(worlds, i, trace):
    for name in ("headway", "speed", "accel"):
        assert_close(torch.stack([world[name][i] for world in worlds]), trace[name])
    lead = torch.stack([world["lead"][i] for world in worlds])
    assert_close(lead, trace["lead_speed"], rtol=1e-14, atol=0.0)  # recorded in float64


def compare_outcomes(tensordicts, i, trace):
    reward = torch.stack([td["agents", "reward"][i, :, 0] for td in tensordicts])
    assert_close(reward, trace["reward"], rtol=1e-4, atol=1e-6)
    assert_close(reward.sum(-1), trace["global_reward"], rtol=1e-4, atol=1e-6)
    done = [td["done"][i].item() for td in tensordicts]
    assert done == trace["done"].astype(bool).tolist()
    collision = [td["episode", "collision"][i].item() for td in tensordicts]
    assert collision == trace["collision"].astype(float).tolist()


def compare_observations(tensordicts, i, trace):
    """The recordings list the existing neighbours; here each has a fixed place."""
    assert len(trace["obs_step"]) > 0
    for k, t in enumerate(trace["obs_step"]):
        agents = tensordicts[t]["agents"][i]
        assert_close(agents["state"], trace["obs_own"][k])
        for vehicle, row in enumerate(trace["obs_with_neighbours"][k]):
            observation = agents["observation"][vehicle]
            mask = agents["observation_mask"][vehicle]
            existing = row[~np.isnan(row)]
            is_first_or_last = vehicle in (0, len(agents["state"]) - 1)
            assert mask.sum() == len(existing) == (10 if is_first_or_last else 15)
            assert_close(observation[mask], existing)
            assert not observation[~mask].any()
