"""Environments that carry the hidden states of a policy."""

import torch
from torchrl.collectors import Collector
from torchrl.envs import TransformedEnv
from torchrl.modules.utils import get_primers_from_module

from ilvf.data.evaluation import evaluate
from ilvf.data.rollout import with_memory
from ilvf.modules import CategoricalActor
from memory_helpers import AGENTS, HORIZON, staggered

KEY = ("agents", "hidden")


def actor_of(recurrent="gru"):
    torch.manual_seed(0)
    return CategoricalActor(AGENTS, 3, 2, hidden=8, recurrent=recurrent)


def env_of(num_envs=6):
    return staggered(num_envs=num_envs, seed=0)


def rollout_of(env, actor):
    torch.manual_seed(1)
    return env.rollout(2 * HORIZON, actor, break_when_any_done=False)


def assert_carried(rollout):
    before = rollout[KEY]
    after = rollout["next"][KEY]
    done = rollout["next", "done"].unsqueeze(-1)
    assert done[:, :-1].any()
    assert torch.equal(before[:, 1:], after.masked_fill(done, 0)[:, :-1])
    assert after.any()


def test_hidden_states_are_carried_and_forgotten_in_a_rollout():
    actor = actor_of()
    assert_carried(rollout_of(with_memory(env_of(), actor), actor))


def test_torchrls_own_primer_does_the_same():
    actor = actor_of()
    ours = rollout_of(with_memory(env_of(), actor), actor)
    theirs = rollout_of(TransformedEnv(env_of(), get_primers_from_module(actor)), actor)
    assert torch.equal(ours[KEY], theirs[KEY])


def test_torchrls_collector_carries_them():
    actor = actor_of()
    env = TransformedEnv(env_of(), actor.memory.make_tensordict_primer())
    options = {"frames_per_batch": 60, "auto_register_policy_transforms": False}
    collector = Collector(env, actor, total_frames=60, **options)
    (rollout,) = list(collector)
    collector.shutdown()
    assert_carried(rollout)


def test_given_states_are_those_of_the_first_reset_alone():
    actor = actor_of()
    first = torch.randn(6, AGENTS, 8)
    env = with_memory(env_of(), actor, {KEY: first})
    assert torch.equal(env.reset()[KEY], first)
    assert not env.reset()[KEY].any()


def test_an_environment_for_a_policy_without_memory_is_the_same_object():
    env = env_of()
    assert with_memory(env, actor_of("none")) is env
    assert with_memory(env, lambda td: td) is env


def test_an_evaluation_begins_without_memory():
    actor = actor_of()
    _, rollout = evaluate(env_of(), actor, max_steps=HORIZON, seed=0)
    assert not rollout[KEY][:, 0].any()
    assert_carried(rollout)
