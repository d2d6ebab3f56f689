"""`Traffic`: several copies of a network as one TorchRL environment."""

import os
import signal
from contextlib import closing

import numpy as np
import pytest
import torch
from tensordict import TensorDict
from torchrl.envs.utils import check_env_specs

from ilvf import check_env
from ilvf.envs.pettingzoo.copies import SEED_STRIDE
from ilvf.envs.traffic import Traffic
from ilvf.envs.traffic.simulator import crowding
from traffic_helpers import end_soon, play, simulators


def test_specs(town):
    with closing(Traffic(*town, num_envs=2, seed=0, seconds=50)) as env:
        check_env_specs(env, seed=0)
        assert not check_env(env).notes


def test_sizes_masks_and_graph(town):
    network, _ = town
    with closing(Traffic(*town, num_envs=1, seed=0, seconds=50)) as env:
        sizes = np.array([len(signal.link_lanes) for signal in network.signals])
        assert env.state_dim == sizes.max()
        observed = sizes + network.neighbours @ sizes
        assert env.observation_mask.sum(-1).tolist() == observed.tolist()
        phases = [len(signal.phases) for signal in network.signals]
        assert env.reset()["agents", "action_mask"][0].sum(-1).tolist() == phases
        assert torch.equal(env.observation_graph, env.neighbours | torch.eye(7).bool())


def rollout_of(env, steps):
    """A rollout `[B, steps]` with phases that depend on time and signal, across episodes."""
    phases = torch.tensor([len(signal.phases) for signal in env.network.signals])
    td = env.reset()
    frames = []
    for t in range(steps):
        action = ((t + torch.arange(env.n_agents)) % phases).expand(*env.batch_size, -1)
        frame, td = env.step_and_maybe_reset(td.set(("agents", "action"), action))
        frames.append(frame)
    return torch.stack(frames, 1)


@pytest.fixture(scope="module")
def two_copies(town):
    """A rollout of two copies with the seed 3, over two episodes of ten steps."""
    with closing(Traffic(*town, num_envs=2, seed=3, seconds=50)) as env:
        first = rollout_of(env, 25)
        env.set_seed(3)
        assert (first == rollout_of(env, 25)).all()
        return first


@pytest.mark.slow
def test_copies_in_workers_give_the_same(town, two_copies):
    with closing(Traffic(*town, num_envs=2, seed=3, seconds=50, workers=2)) as env:
        assert (two_copies == rollout_of(env, 25)).all()


def test_copies_equal_single_environments(town_env, two_copies):
    """Copy k is a single environment with the seed s + SEED_STRIDE k."""
    env = town_env(seconds=50)
    for k in range(2):
        records = play(env, 10, seed=3 + SEED_STRIDE * k)
        expected = np.stack([rewards for _, _, rewards in records[1:]])
        found = two_copies["next", "agents", "reward"][k, :10, :, 0]
        assert np.array_equal(found.numpy(), expected.astype(np.float32))


def test_copies_are_truncated_after_ten_steps(two_copies):
    truncated = two_copies["next", "truncated"][0].flatten()
    assert truncated.nonzero().flatten().tolist() == [9, 19]


def test_copies_differ(two_copies):
    queue = two_copies["next", "episode", "queue"]
    assert queue[0, 9] > 0
    assert not torch.equal(queue[0], queue[1])


def test_copies_run_at_the_same_time(town):
    """Every simulator has its request before the first answer is awaited."""
    calls = []

    def note(thing, name, k):
        inner = getattr(thing, name)

        def noted(*arguments):
            calls.append((name, k))
            return inner(*arguments)

        setattr(thing, name, noted)

    with closing(Traffic(*town, num_envs=3, seed=0, seconds=50)) as env:
        for k, copy in enumerate(env.copies.envs):
            for name in ("load", "step", "read"):
                note(copy.simulation, name, k)
        env.set_seed(1)
        td = env.reset()
        env.step(env.rand_action(td))
    expected = []
    for name in ("load", "read", "step", "read"):
        expected += [(name, k) for k in range(3)]
    assert calls == expected


def test_fault_of_one_copy_ends_only_its_episode(town):
    with closing(Traffic(*town, num_envs=2, seed=0, seconds=50)) as env:
        td = env.reset()
        os.kill(env.copies.envs[1].simulation.pid, signal.SIGKILL)
        cause = f"SIGKILL.* after step 0 of the episode with seed {SEED_STRIDE} in copy 1, which"
        with pytest.warns(UserWarning, match=cause):
            frame, td = env.step_and_maybe_reset(env.rand_action(td))
        assert frame["next", "truncated"].flatten().tolist() == [False, True]
        assert not frame["next", "terminated"].any()
        assert td["episode", "length"].flatten().tolist() == [1, 0]
        env.rollout(3, auto_reset=False, tensordict=td)


def test_copy_whose_traffic_sumo_refuses_is_named(town, refused, tmp_path):
    """The file of routes is gone when the second copy is reset."""
    network, routes = town
    copied = tmp_path / "copied.rou.xml"
    copied.write_text(routes.read_text())
    with closing(Traffic(network, copied, num_envs=2, seed=0, seconds=50)) as env:
        copied.unlink()
        with refused("and its traffic in copy 1: SUMO says", "copied.rou.xml"):
            env.reset()


def test_a_single_copy_has_no_number(town):
    with closing(Traffic(*town, num_envs=1, seed=0, seconds=50)) as env:
        td = env.reset()
        os.kill(env.copies.envs[0].simulation.pid, signal.SIGKILL)
        with pytest.warns(UserWarning, match="of the episode with seed 0, which ends there"):
            env.step(env.rand_action(td))


def test_copies_in_workers_have_their_numbers_in_the_batch(road, refused, tmp_path):
    """The first reset of the second worker is that of copy 1."""
    network, routes = road
    copied = tmp_path / "copied.rou.xml"
    copied.write_text(routes.read_text())
    with closing(Traffic(network, copied, num_envs=2, seed=0, seconds=50, workers=2)) as env:
        env.reset()
        copied.unlink()
        mask = torch.tensor([[False], [True]])
        with refused("in copy 1: SUMO says"):
            env.reset(TensorDict({"_reset": mask}, [2]))


def test_killed_worker_is_one_sentence_and_leaves_no_simulator(road, refused):
    before = simulators()
    env = Traffic(*road, num_envs=2, seed=0, seconds=50, workers=1)
    env.reset()
    running = simulators(besides=before)
    assert len(running) == 3  # two, and the worker's template
    env.copies.workers[0].process.kill()
    with refused("worker 0", "SIGKILL", "resume=last"):
        env.rand_step()
    env.close()
    assert end_soon(*running)


def test_unknown_options_are_refused(road, refused):
    with refused("colour", "reward_scale", "workers"):
        Traffic(*road, colour="red")


# ---------------------------------------------------------------------- too many
def test_too_many_simulators_for_cores_or_memory():
    """A simulator needs 50 MB, and four share a core."""
    assert crowding.crowded(40, cores=10, free=4e9) == ""
    need = "simulators at once need about 2.0 GB of memory, of which"
    assert f"41 {need} 4.0 GB are free" in crowding.crowded(41, cores=10, free=4e9)
    assert f"40 {need} 1.9 GB are free" in crowding.crowded(40, cores=10, free=1.9e9)


@pytest.mark.parametrize(("per_core", "warns"), [(2, False), (1, True)])
def test_too_many_simulators_are_a_warning(road, recwarn, monkeypatch, per_core, warns):
    monkeypatch.setattr(crowding, "PER_CORE", per_core)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    Traffic(*road, num_envs=2, seed=0).close()
    assert any("2 simulators" in str(w.message) for w in recwarn) == warns
