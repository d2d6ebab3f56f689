"""Predator Capture Prey against recorded episodes of the public reference."""

import numpy as np
import pytest
import torch
from torch import tensor

from env_helpers import recording, recordings, start_in
from ilvf.envs import CapturePrey
from prey_helpers import environment_of, recorded_worlds

TRACES = recordings("pcp_*")
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def actions_of(trace, device="cpu"):
    return tensor(trace["actions"].astype(np.int64), device=device)


def test_all_recordings_are_here():
    assert len(TRACES) == 12


@pytest.mark.parametrize("name", TRACES)
def test_recorded_episode(name):
    """Positions, flags, rewards and ends of every step, exactly.

    The recorded actions are those of the second of three environments, the others act randomly.
    """
    trace = recording(name)
    env = environment_of(trace, num_envs=3)
    start = env.initial()
    for key, value in recorded_worlds(trace, [0]).items():
        start[key][1:2] = value
    td = start_in(env, start)
    after = recorded_worlds(trace, range(1, len(trace["pos"])))
    for t, action in enumerate(actions_of(trace)):
        td = env.rand_action(td)
        td["agents", "action"][1] = action
        td = env.step(td)["next"]
        for key, worlds in after.items():
            assert torch.equal(env.world[key][1], worlds[t])
        assert np.array_equal(td["agents", "reward"][1, :, 0].numpy(), trace["reward"][t])
        terminated = td["terminated"][1].item()
        assert terminated == trace["done"][t]
        assert terminated == (trace["success"][t] == 1)  # -1 in competitive, which has no success
        assert not td["truncated"].any()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", TRACES)
def test_all_recorded_steps_as_one_batch(name, device):
    trace = recording(name)
    steps = len(trace["actions"])
    env = environment_of(trace, num_envs=steps, device=device)
    before = recorded_worlds(trace, range(steps), device)
    after = recorded_worlds(trace, range(1, steps + 1), device)
    world = env.advance(before, actions_of(trace, device))
    for key, value in after.items():
        assert torch.equal(world[key], value)
    assert np.array_equal(env.reward(world).cpu().numpy(), trace["reward"])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", TRACES)
def test_recorded_observations(name, device):
    """The reference's windows: as intended, and as returned, with leaked cells."""
    trace = recording(name)
    rows = len(trace["pos"])
    worlds = recorded_worlds(trace, range(rows), device)

    def windows(leak):
        env = environment_of(trace, rows, encoding="reference", leak=leak, device=device)
        return env.observe(worlds)[1].cpu().numpy()

    leaks = trace["action_vision"].item() < 0  # it copies the windows of agents that see
    intended = windows(leak=False)
    returned = windows(leak=leaks)
    assert np.array_equal((intended != returned).any(-1), trace["obs_leak"])
    if "obs" in trace:
        assert np.array_equal(intended, trace["obs"].reshape(intended.shape))
        assert np.array_equal(returned, trace["obs_reference"].reshape(intended.shape))


def test_some_recordings_have_observations():
    with_observations = [name for name in TRACES if "obs" in recording(name)]
    assert len(with_observations) >= 2


@pytest.mark.parametrize("leak", [False, True])
def test_both_encodings_have_the_same_counts(leak):
    """Compact: prey, perception, action, outside, channel by channel.

    Reference: action, outside, prey, perception, cell by cell.
    """
    options = dict(graph="none", n_prey=2, leak=leak, num_envs=200, seed=3)
    compact = CapturePrey(**options)
    reference = CapturePrey(encoding="reference", **options)
    world = compact.initial()
    by_channel = compact.observe(world)[1][:, :4, 5:].unflatten(-1, (4, 25))
    by_cell = reference.observe(world)[1][:, :4].unflatten(-1, (25, 104))[..., 100:]
    assert torch.equal(by_channel, by_cell[..., [2, 3, 0, 1]].mT)
    assert (by_channel == -1).any().item() == leak
