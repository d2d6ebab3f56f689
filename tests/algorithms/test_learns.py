"""Every algorithm learns: a game that is easy for all, and one in which credit decides."""

import functools
import logging

import pytest
import torch

from helpers import bare_trainer
from ilvf.algorithms import COMA, ILVFP, IPPO, MADDPG, MAPPO, QMIX
from ilvf.credit import Bernoulli, LearnedInfluence, Soft, Threshold
from ilvf.envs import Tabular
from ilvf.modules import (
    ActionInfluenceCritic,
    CategoricalActor,
    CentralCritic,
    CounterfactualCritic,
    GreedyActor,
    InfluenceCritic,
    JointCritic,
    LocalCritic,
    Mixer,
    RelevanceCritic,
    StateCritic,
)

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
N, HORIZON, H = 3, 20, 16
ON = dict(
    num_envs=16,
    rollout_steps=HORIZON,
    epochs=4,
    minibatches=1,
    lr=0.01,
    eval_every=1000,
    eval_episodes=50,
)

OFF = dict(
    num_envs=16,
    rollout_steps=HORIZON,
    updates=40,
    batch_size=128,
    capacity=8000,
    warmup=320,
    lr=0.01,
    tau=0.05,
)
OFF |= dict(eval_every=1000, eval_episodes=50)


def qmix(make, actor, sizes, kind="qmix"):
    """QMIX acts greedily in its values, so it needs another kind of actor."""
    greedy = GreedyActor(N, actor.arguments["observation_dim"], sizes[2], hidden=H)
    mixer = Mixer(kind, *sizes[:2], embed=8)
    return QMIX(make, greedy, mixer, epsilon_frames=3000, gamma=0.9, **OFF)


def maddpg(make, actor, sizes):
    return MADDPG(make, actor, JointCritic(*sizes, hidden=H), gamma=0.9, **OFF)


def ilvf_p(make, actor, sizes, initial="random", part=None):
    return ILVFP(
        make, actor, InfluenceCritic(*sizes, hidden=H, initial=initial), discretise=part, **ON
    )


def no_inferring(make, actor, sizes):
    return ILVFP(make, actor, ActionInfluenceCritic(*sizes, hidden=H), **ON)


def prd(make, actor, sizes, part=None):
    critic = RelevanceCritic(*sizes, hidden=H)
    influence = LearnedInfluence(part or Threshold(0.05), writer=critic.relevance_module())
    return ILVFP(make, actor, critic, influence=influence, **ON)


ALGORITHMS = {
    "ilvf_p": ilvf_p,
    "ilvf_p, bernoulli": lambda *a: ilvf_p(*a, part=Bernoulli()),
    "ilvf_p, bernoulli, from ones": lambda *a: ilvf_p(*a, initial="ones", part=Bernoulli()),
    "no inferring": no_inferring,
    "mappo": lambda m, a, s: MAPPO(m, a, StateCritic(*s[:2], hidden=H), **ON),
    "mappo, central": lambda m, a, s: MAPPO(m, a, CentralCritic(*s[:2], hidden=H), **ON),
    "ippo": lambda m, a, s: IPPO(
        m, a, LocalCritic(N, a.arguments["observation_dim"], hidden=H), **ON
    ),
    "ippo_c": lambda m, a, s: IPPO(m, a, StateCritic(*s[:2], hidden=H), **ON),
    "coma": lambda m, a, s: COMA(m, a, CounterfactualCritic(*s, hidden=H), **ON),
    "prd": prd,
    "prd, soft": lambda *a: prd(*a, part=Soft()),
    "qmix": qmix,
    "vdn": lambda *a: qmix(*a, kind="vdn"),
    "maddpg": maddpg,
}


def learned(name, game, iterations, seed=0):
    """Mean reward per agent and step of the most likely actions, after so many iterations."""
    torch.manual_seed(seed)
    make = functools.partial(Tabular, game, n_agents=N, horizon=HORIZON)
    env = make()
    actor = CategoricalActor(N, env.observation_dim, env.n_actions, hidden=H)
    module = ALGORITHMS[name](make, actor, (N, env.state_dim, env.n_actions))
    bare_trainer(iterations).fit(module)
    return module.last_metrics["eval/reward/agent_step"]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_what_is_good_for_one_and_for_all(name):
    """r_i = 1[a_i = s_i]: the best is 1, chance ½. (COMA's single team value is the slowest to see its own part.)"""
    assert learned(name, "matching", 40 if name == "coma" else 20) >= 0.95


BEST = (HORIZON - 0.5) / HORIZON  # in the first step half of the neighbours have given


@pytest.mark.parametrize("name", ["ippo", "ippo_c", "maddpg"])
def test_the_selfish_fail(name):
    """r_i = 2 s_{i−1} − s_i: to its own return, giving is a loss; without gifts all get 0 (½ in the first step)."""
    assert learned(name, "gifts", 30) <= 0.1


@pytest.mark.parametrize(
    "name", ["ilvf_p, bernoulli, from ones", "mappo", "mappo, central", "qmix", "vdn"]
)
def test_credit_makes_them_give(name):
    """ILVF-P begins with everybody's credit here. Begun at random it can end selfish: who does not give for want of
    credit shows the critic no gifts to learn from (docs/algorithms.md)."""
    assert learned(name, "gifts", 30) >= 0.95 * BEST
