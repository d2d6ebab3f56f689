"""Shared by the tests of PettingZoo environments: copies of `zoo.Line`, rollouts, workers."""

import psutil
import torch

import zoo
from ilvf.envs import PettingZoo

# How messages about a changed line begin.
FIRST_RESET = "line (copy 0) in the first reset: "
RESET = "line (copy 0) in the reset after step 0: "
STEP_2 = "line (copy 0) in step 2: "
OPTIONS = ("num_envs", "workers", "timeout", "dying", "horizon", "global_state")


def line_env(**options):
    """Two copies of `zoo.Line` with seed 0.

    Options of `PettingZoo` are taken out of `options`; the others are arguments of `zoo.Line`.
    """
    own = {name: options.pop(name) for name in OPTIONS if name in options}
    return PettingZoo(zoo.Line, options, **{"num_envs": 2, "seed": 0, **own})


RETURN_NONE = object()  # what a change returns so that the environment returns None


class ChangedLine(zoo.Line):
    """`zoo.Line` whose results are changed.

    Args:
        of_reset: function of the environment, its observations and infos. What it returns, if it
            is not None, is returned by every reset instead.
        of_step: the same, of everything that `step` returns, in the step `at` of an episode.
        at: counted from 1.
        **options: of `zoo.Line`.
    """

    def __init__(self, of_reset=None, of_step=None, at=2, **options):
        super().__init__(**options)
        self.of_reset = of_reset
        self.of_step = of_step
        self.at = at

    def reset(self, seed=None, options=None):
        result = super().reset(seed, options)
        return self._changed(self.of_reset, result)

    def step(self, actions):
        result = super().step(actions)
        return self._changed(self.of_step, result) if self.steps == self.at else result

    def _changed(self, change, result):
        new = None if change is None else change(self, *result)
        if new is RETURN_NONE:
            return None
        return result if new is None else new


def changed_line(of_reset=None, of_step=None, at=2, **options):
    """`line_env` of one copy of `ChangedLine`."""
    own = {name: options.pop(name) for name in OPTIONS if name in options}
    changes = dict(of_reset=of_reset, of_step=of_step, at=at)
    return PettingZoo(ChangedLine, {**changes, **options}, **{"num_envs": 1, "seed": 0, **own})


def refuse(refused, words, **changes):
    """Two steps of a changed line are refused with these words."""
    with refused(*words):
        play_random(changed_line(**changes), 2)


def play_action(env, steps, action=0):
    """A rollout `[B, steps]`, over ends of episodes, of one action."""
    return _play(env, steps, lambda td: torch.full((*env.batch_size, env.n_agents), action))


def play_random(env, steps):
    """A rollout `[B, steps]`, over ends of episodes, of random possible actions."""
    torch.manual_seed(0)

    def choose(td):
        noise = torch.rand(*env.batch_size, env.n_agents, env.n_actions)
        possible = td.get(("agents", "action_mask"), torch.ones_like(noise).bool())
        return noise.masked_fill(~possible, -1).argmax(-1)

    return _play(env, steps, choose)


def _play(env, steps, choose):
    td = env.reset()
    out = []
    for _ in range(steps):
        step, td = env.step_and_maybe_reset(td.set(("agents", "action"), choose(td)))
        out.append(step)
    return torch.stack(out, 1)


def flags(td, copy=0):
    """The flags of one copy's steps, as lists of 0 and 1."""
    names = ("terminated", "truncated", "done")
    return {name: td["next", name][copy].flatten().int().tolist() for name in names}


def worker_processes():
    """Worker processes of this process, alive or zombie."""
    found = []
    for process in psutil.Process().children():
        is_zombie = process.status() == psutil.STATUS_ZOMBIE
        if is_zombie or "spawn_main" in " ".join(process.cmdline()):
            found.append(process)
    return found
