"""Shared by the tests of PettingZoo environments: copies of `zoo.Line`, rollouts, workers."""

import psutil
import torch

import zoo
from ilvf.envs import PettingZoo

OPTIONS = ("num_envs", "workers", "timeout", "dying", "horizon", "global_state")


def line_env(**options):
    """Two copies of `zoo.Line` with seed 0.

    Options of `PettingZoo` are taken out of `options`; the others are arguments of `zoo.Line`.
    """
    own = {name: options.pop(name) for name in OPTIONS if name in options}
    return PettingZoo(zoo.Line, options, **{"num_envs": 2, "seed": 0, **own})


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
