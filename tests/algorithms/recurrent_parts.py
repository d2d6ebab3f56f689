"""Shared by the tests of recurrent off-policy teams: small algorithms on `Cue`."""

import functools

import torch

from ilvf.algorithms import MADDPG, QMIX
from ilvf.modules import CategoricalActor, GreedyActor, JointCritic, Mixer
from memory_helpers import AGENTS, Cue

SIZES = (AGENTS, 3)
HIDDEN = 16
KEY = ("agents", "hidden")
OPTIONS = {
    "num_envs": 16,
    "rollout_steps": 20,
    "chunk": 5,
    "updates": 20,
    "batch_size": 160,
    "warmup": 640,
    "capacity": 4000,
    "lr": 0.01,
    "tau": 0.05,
    "eval_every": 1000,  # only after the last iteration
    "eval_episodes": 1000,
}
SMALL = {
    **OPTIONS,
    "num_envs": 4,
    "rollout_steps": 6,
    "chunk": 3,
    "updates": 2,
    "batch_size": 16,
    "warmup": 0,
    "capacity": 72,  # three rollouts of 24 transitions, so that the ring overwrites
    "eval_episodes": 2,
}


def value_learner(mixer, recurrent, seed=0, cls=QMIX, env=Cue, **options):
    torch.manual_seed(seed)
    actor = GreedyActor(*SIZES, 2, hidden=HIDDEN, recurrent=recurrent)
    options = {"epsilon_frames": 2000, **OPTIONS, **options}
    return cls(env, actor, Mixer(mixer, *SIZES), seed=seed, **options)


qmix = functools.partial(value_learner, "qmix")
vdn = functools.partial(value_learner, "vdn")


class Told(Cue):
    """`Cue` with the cue in the state of every step, as MADDPG's critics have no memory."""

    def observe(self, world):
        state, seen = super().observe(world)
        cue = torch.nn.functional.one_hot(world["cue"], 2).float()
        return torch.cat([cue, state[..., 2:]], -1), seen


def maddpg(recurrent, seed=0, env=Told, **options):
    torch.manual_seed(seed)
    actor = CategoricalActor(*SIZES, 2, hidden=HIDDEN, recurrent=recurrent)
    critic = JointCritic(*SIZES, 2, hidden=HIDDEN)
    return MADDPG(env, actor, critic, seed=seed, **{**OPTIONS, "lr": 0.005, **options})
