"""Recurrent teams, on-policy: what they solve, what is recorded, trained on and saved.

In `Cue` a team without a memory is right in half of its episodes.
"""

import pytest
import torch

from continuous_helpers import Aim
from helpers import assert_same_state, checkpointed, fit
from ilvf.algorithms import ILVFP, IPPO, MAPPO
from ilvf.algorithms.options import ALGORITHMS, OnPolicyConfig
from ilvf.checkpoints.files import read_checkpoint
from ilvf.credit import ScoreInfluence
from ilvf.data.rollout import make_collector, with_memory
from ilvf.experiment.build import build
from ilvf.experiment.config import resolve
from ilvf.experiment.options import training_schema
from ilvf.modules import (
    CategoricalActor,
    CentralCritic,
    GaussianActor,
    InfluenceCritic,
    LocalCritic,
    StateCritic,
)
from memory_helpers import AGENTS, Cue, staggered

SIZES = (AGENTS, 3)
HIDDEN = 16
OPTIONS = {
    "num_envs": 32,
    "rollout_steps": 20,
    "epochs": 4,
    "minibatches": 1,
    "lr": 0.01,
    "eval_every": 1000,  # only after the last iteration
    "eval_episodes": 1000,
}
SMALL = {**OPTIONS, "num_envs": 4, "rollout_steps": 6, "chunk": 3, "eval_episodes": 2}


def actor_of(recurrent, seed=0):
    torch.manual_seed(seed)
    return CategoricalActor(*SIZES, 2, hidden=HIDDEN, recurrent=recurrent)


def ippo(recurrent, cls=IPPO, env=Cue, **options):
    actor = actor_of(recurrent)
    critic = LocalCritic(*SIZES, hidden=HIDDEN, recurrent=recurrent)
    return cls(env, actor, critic, **{**OPTIONS, **options})


def mappo(recurrent, critic=StateCritic, **options):
    actor = actor_of(recurrent)
    critic = critic(*SIZES, hidden=HIDDEN, recurrent=recurrent)
    return MAPPO(Cue, actor, critic, **{**OPTIONS, **options})


def central(recurrent, **options):
    return mappo(recurrent, CentralCritic, **options)


def ilvf_s(recurrent, **options):
    actor = actor_of(recurrent)
    critic = StateCritic(*SIZES, hidden=HIDDEN, recurrent=recurrent)
    return ILVFP(Cue, actor, critic, influence=ScoreInfluence(actor), **{**OPTIONS, **options})


def ilvf_p(recurrent, **options):
    actor = actor_of(recurrent)
    critic = InfluenceCritic(*SIZES, 2, hidden=HIDDEN)
    return ILVFP(Cue, actor, critic, **{**OPTIONS, **options})


# ---------------------------------------------------------------------- learning
def share_of_right_actions(module, iterations):
    return fit(module, iterations).last_metrics["eval/return/team"] / AGENTS


def test_a_team_without_memory_cannot_know_the_cue():
    assert share_of_right_actions(ippo("none"), 8) <= 0.55


@pytest.mark.parametrize("recurrent", ["gru", "lstm"])
def test_a_recurrent_team_remembers_the_cue(recurrent):
    assert share_of_right_actions(ippo(recurrent), 8) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "recurrent"),
    [
        (mappo, "none"),
        (mappo, "lstm"),
        (central, "gru"),
        (ilvf_s, "lstm"),
        (ilvf_p, "none"),
        (ilvf_p, "gru"),
    ],
)
def test_every_kind_of_critic_teaches_it(make, recurrent):
    right = share_of_right_actions(make(recurrent), 15)
    assert right <= 0.55 if recurrent == "none" else right >= 0.95


# ---------------------------------------------------------------------- what is recorded
class Seen(IPPO):
    """Keeps its rollouts, and how far the first minibatch is from the policy that collected."""

    def on_fit_start(self):
        super().on_fit_start()
        self.kept = []
        self.ratios = []
        self.shapes = []

    def measure(self, rollout):
        self.kept.append(rollout.clone())
        return super().measure(rollout)

    def training_step(self, batch, batch_idx):
        if batch_idx == 0:
            self.shapes.append(tuple(batch.shape))
            log_prob, _ = self.loss.actor.evaluate(batch)
            self.ratios.append((log_prob - batch["agents", "action_log_prob"]).exp().detach())
        return super().training_step(batch, batch_idx)


def test_a_second_training_begins_without_memories():
    module = ippo("gru", Seen, **{**SMALL, "minibatches": 2})
    for _ in range(2):
        fit(module, 1)
        assert not module.kept[0]["agents", "hidden"][:, 0].any()


KEYS = [("agents", "hidden"), "critic_hidden"]


@pytest.fixture(scope="module", params=["gru", "lstm"])
def seen(request):
    """Three iterations, whose episodes of 5 steps end within rollouts of 6 and chunks of 3."""
    return fit(ippo(request.param, Seen, staggered, **{**SMALL, "minibatches": 2}), 3)


@pytest.mark.parametrize("key", KEYS)
def test_hidden_states_go_on_until_their_episode_ends(seen, key):
    rollout = torch.cat(seen.kept, 1)  # also from rollout to rollout
    before = rollout[key]
    after = rollout["next"][key]
    done = rollout["next", "done"].unsqueeze(-1)
    assert done.flatten(1).sum(1).tolist() == [3, 3, 4, 4]  # first after 5, 4, 3 and 2 steps
    assert not before[:, 0].any()
    assert torch.equal(before[:, 1:], after.masked_fill(done, 0)[:, :-1])
    assert after[:, 5:].any(-1).all()  # the first episodes have seen no cue


def test_minibatches_are_chunks(seen):
    assert seen.shapes == [(4, 3)] * 3


def test_the_first_ratio_is_one(seen):
    assert len(seen.ratios) == 3
    for ratio in seen.ratios:
        assert torch.allclose(ratio, torch.ones_like(ratio), atol=1e-5)


def test_values_are_those_of_the_recorded_memory(seen):
    """V(s_t, h_t), and after the end of an episode V of its last state and memory."""
    module = seen
    rollout = next(rollouts_of(module))
    assert rollout["next", "done"].any()
    critic = module.loss.critic
    norm = module.loss.value_norm
    with torch.no_grad():
        module.advantage(rollout)
        value = critic(rollout["agents", "observation"], rollout["critic_hidden"])
        following = rollout["next"]
        last = critic(following["agents", "observation"], following["critic_hidden"])
    assert torch.allclose(rollout["agents", "state_value"], norm.denormalize(value), atol=1e-5)
    assert torch.allclose(following["agents", "state_value"], norm.denormalize(last), atol=1e-5)


def rollouts_of(module):
    """New rollouts of the policy that a module trains."""
    policy = module.behaviour()
    env = with_memory(staggered(num_envs=4, seed=3), policy)
    collector = make_collector(env, policy, 7)
    yield from collector
    collector.shutdown()


def test_continuous_actions_have_a_memory_too():
    torch.manual_seed(0)
    actor = GaussianActor(2, 2, Aim().actions, hidden=8, recurrent="gru")
    critic = LocalCritic(2, 2, hidden=8, recurrent="gru")
    module = fit(Seen(Aim, actor, critic, **SMALL), 2)
    assert module.kept[1]["agents", "hidden"].any()
    for ratio in module.ratios:
        assert torch.allclose(ratio, torch.ones_like(ratio), atol=1e-4)


# ---------------------------------------------------------------------- resuming
def fitted(make, iterations, folder, **options):
    return checkpointed(make("gru", **SMALL), iterations, folder, **options)


@pytest.mark.parametrize("make", [ippo, mappo, ilvf_p, ilvf_s])
def test_a_resumed_run_learns_what_an_uninterrupted_run_learns(make, tmp_path):
    """Bit for bit; episodes of 5 steps go on from rollout to rollout of 6."""
    _, whole = fitted(make, 4, tmp_path / "whole")
    path, _ = fitted(make, 2, tmp_path / "half")
    saved = read_checkpoint(path)["ilvf"]["state"]["ranks"][0]["hidden"]
    assert all(state.any() for state in saved.values())
    _, resumed = fitted(make, 4, tmp_path / "half", ckpt_path=path)
    assert_same_state(whole, resumed)
    assert whole.last_metrics["reward/agent_step"] == resumed.last_metrics["reward/agent_step"]


FITTING = torch.zeros(4, AGENTS, HIDDEN)


@pytest.mark.parametrize(
    "wrong",
    [
        7,
        {},
        {"agents.hidden": 7},
        {"agents.hidden": FITTING[1:]},
        {"agents.hidden": FITTING.long()},
        {"agents.hidden": FITTING / 0},
        {"agents.hidden": FITTING},  # without those of the critic
    ],
    ids=["number", "empty", "no tensor", "other shape", "whole numbers", "NaN", "only actor"],
)
def test_hidden_states_that_do_not_fit_are_one_sentence(wrong, tmp_path, refused):
    path, _ = fitted(ippo, 1, tmp_path)
    content = read_checkpoint(path)
    content["ilvf"]["state"]["ranks"][0]["hidden"] = wrong
    torch.save(content, path)
    with refused("hidden states cannot be restored", "begin a new run"):
        fitted(ippo, 2, tmp_path, ckpt_path=path)


# ---------------------------------------------------------------------- by configs
SETTINGS = (
    "env.n_agents=4",
    "env.horizon=5",
    "algorithm.num_envs=4",
    "algorithm.rollout_steps=6",
    "algorithm.chunk=3",
    "algorithm.minibatches=2",
    "algorithm.hidden=8",
    "algorithm.eval_episodes=2",
)
REMEMBERING = {"mappo", "ippo", "ilvf_s"}  # whose critic is recurrent too


def built(name, *arguments):
    return build(resolve(training_schema(name), [*SETTINGS, *arguments]))


@pytest.mark.parametrize(
    "name", [name for name, config in ALGORITHMS.items() if issubclass(config, OnPolicyConfig)]
)
def test_every_on_policy_algorithm_trains_a_recurrent_team(name):
    module = fit(built(name, "algorithm.recurrent=gru"), 2)
    assert module.loss.actor.memory is not None
    critic = getattr(module.loss.critic, "memory", None)
    assert (critic is not None) == (name in REMEMBERING)
    assert module.last_metrics["ppo/kl"] >= 0


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("algorithm.chunk=4", ("chunk=4", "rollout_steps=6")),
        ("algorithm.chunk=7", ("chunk=7", "rollout_steps=6")),
        ("algorithm.minibatches=9", ("minibatches=9", "8 chunks")),
    ],
)
def test_rollouts_consist_of_whole_chunks(argument, words, refused):
    with refused(*words):
        built("mappo", "algorithm.recurrent=gru", argument)
    assert built("mappo", argument).loss.memories == []
