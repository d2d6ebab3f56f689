"""`TensorCollector` collects what TorchRL's own loop collects, bit for bit."""

import pytest
import torch
from torchrl.collectors import Collector
from torchrl.envs import RewardSum, TransformedEnv

from continuous_helpers import Aim
from ilvf import CACC, CapturePrey, CategoricalActor, Encircle, GaussianActor, Vmas
from ilvf.data.evaluation import episode_metrics, episode_sums
from ilvf.data.rollout import make_collector, with_memory
from ilvf.data.tensor_collector import TensorCollector
from ilvf.modules.actors.greedy import RandomFirst
from memory_helpers import staggered

STEPS = 7  # no divisor of the horizons
OF_EVERY_STEP = ("return", "length")


def sizes_of(env):
    return env.n_agents, env.observation_dim


def categorical(env, **options):
    return CategoricalActor(*sizes_of(env), env.n_actions, hidden=8, masked=env.masked, **options)


def gaussian(env):
    return GaussianActor(*sizes_of(env), env.actions, hidden=8)


def random_first(env):
    policy = RandomFirst(categorical(env))
    policy.random = True
    return policy


def gru(env):
    return categorical(env, recurrent="gru")


def lstm(env):
    return categorical(env, recurrent="lstm")


CASES = {
    "obstacles": (Encircle, {"n_agents": 4, "n_obstacles": 2, "horizon": 5}, categorical),
    "vehicles": (CACC, {"n_agents": 3, "horizon": 5}, categorical),
    "masks": (CapturePrey, {"horizon": 5}, categorical),
    "random actions": (CapturePrey, {"horizon": 5}, random_first),
    "continuous": (Aim, {}, gaussian),
    "ends at different steps": (staggered, {}, categorical),
    "gru": (staggered, {}, gru),
    "lstm": (staggered, {}, lstm),
    "simulator": (Vmas, {"task": "balance", "horizon": 5}, categorical),
}


def torchrls(env, policy, steps):
    """TorchRL's collector with its own loop."""
    return Collector(
        env,
        policy,
        frames_per_batch=steps * env.batch_size[0],
        device=env.device,
        trust_policy=True,
        track_traj_ids=False,
        use_buffers=False,
        auto_register_policy_transforms=False,
    )


def rollouts_of(case, make, number=3):
    """The first rollouts of a collector, with the random numbers of one seed."""
    kind, options, actor = CASES[case]
    torch.manual_seed(0)
    env = kind(num_envs=5, seed=1, **options)
    policy = actor(env)
    collector = make(with_memory(env, policy), policy, STEPS)
    assert isinstance(collector, TensorCollector) == (make is make_collector)
    rollouts = iter(collector)
    found = [next(rollouts).clone() for _ in range(number)]
    collector.shutdown()
    return found


def is_statistic(key):
    return "episode" in key and key[-1] not in OF_EVERY_STEP


def leaves(rollout):
    return {key: rollout[key] for key in rollout.keys(True, True) if not is_statistic(key)}


@pytest.fixture(scope="module", params=CASES)
def pairs(request):
    """Rollouts of both loops, in pairs."""
    ours = rollouts_of(request.param, make_collector)
    theirs = rollouts_of(request.param, torchrls)
    return list(zip(ours, theirs, strict=True))


def test_every_entry_but_the_statistics_is_that_of_torchrls_loop(pairs):
    assert any(theirs["next", "done"].any() for _, theirs in pairs)
    for ours, theirs in pairs:
        found = leaves(ours)
        wanted = leaves(theirs)
        assert found.keys() == wanted.keys()
        for key, value in wanted.items():
            assert found[key].dtype == value.dtype, key
            assert torch.equal(found[key], value), key


def test_the_layout_is_that_of_torchrls_loop(pairs):
    for ours, theirs in pairs:
        assert set(ours.keys(True, True)) == set(theirs.keys(True, True))
        for part in (None, "agents", "episode", "next", ("next", "agents")):
            found, wanted = (x if part is None else x[part] for x in (ours, theirs))
            assert found.batch_size == wanted.batch_size
            assert found.names == wanted.names
            assert found.device == wanted.device


def test_the_metrics_of_episodes_are_those_of_torchrls_loop(pairs):
    for ours, theirs in pairs:
        found, wanted = (
            {name: float(value) for name, value in episode_sums(x).items()} for x in (ours, theirs)
        )
        assert found == wanted
        assert episode_metrics(found) == episode_metrics(wanted)


def test_statistics_are_0_where_no_episode_ends():
    for rollout in rollouts_of("obstacles", make_collector):
        ends = rollout["next", "done"]
        assert rollout["next", "episode", "radius_error"][ends].all()
        assert not rollout["next", "episode", "radius_error"][~ends].any()
        assert not rollout["episode", "radius_error"].any()


def test_a_rollout_stays_as_it_is_while_the_next_is_collected():
    env = Encircle(4, num_envs=2, seed=0)
    rollouts = iter(make_collector(env, categorical(env), STEPS))
    first = next(rollouts)
    kept = first.clone()
    next(rollouts)
    assert all(torch.equal(value, kept[key]) for key, value in leaves(first).items())


# ---------------------------------------------------------------------- what it does not take
class Slower(Encircle):
    def _step(self, tensordict):
        return super()._step(tensordict)


def encircle(kind=Encircle):
    env = kind(4, num_envs=2, seed=0)
    return env, categorical(env)


def reading(key):
    env, policy = encircle()
    policy.in_keys = [*policy.in_keys, key]
    return env, policy


def with_transform():
    env, policy = encircle()
    return TransformedEnv(env, RewardSum(in_keys=[("agents", "reward")])), policy


@pytest.mark.parametrize(
    "make",
    [
        lambda: encircle(Slower),
        with_transform,
        lambda: (encircle()[0], lambda td: td),
        lambda: reading(("episode", "success")),
        lambda: reading(("agents", "action")),
    ],
)
def test_torchrls_loop_serves_all_others(make):
    assert TensorCollector.takes(*encircle())
    assert not TensorCollector.takes(*make())
