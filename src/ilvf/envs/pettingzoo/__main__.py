"""python -m ilvf.envs.pettingzoo [TASK] [KEY=VALUE ...]: print what a PettingZoo task is like."""

import time
from collections.abc import Sequence

from ilvf.envs import pettingzoo
from ilvf.envs.check import check_env
from ilvf.envs.options import PettingZooOptions
from ilvf.envs.pettingzoo.env import PettingZoo
from ilvf.envs.shown import shown_env
from ilvf.errors import run_recipe
from ilvf.modules import RandomActor, actions_of

COPIES = 32
STEPS = 100


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the agents of a task, and return and speed of random episodes."""
    task = ("task", PettingZooOptions.task)
    describe(*shown_env(pettingzoo, arguments, task=task, num_envs=COPIES, seed=0))


def describe(env: PettingZoo, task: str) -> None:
    """Print the agents of an environment, and return and speed of random episodes; close it."""
    print(f"{task}: {check_env(env)}\nhorizon {env.horizon}\n")
    for agent in env.layout.agents:
        acts = f"{agent.acting.size:2d} actions"
        if agent.acting.several:
            acts = f"acts by choices out of {agent.acting.counts}"
        if agent.acting.continuous:
            acts = f"acts by {agent.acting.size} numbers"
        sizes = f"observes {agent.size:3d} numbers, {acts}"
        print(f"  {agent.name!s:<16} {sizes}{', masked' if agent.mask_in else ''}")
    started = time.perf_counter()
    steps = max(STEPS, env.horizon)
    masked = ("agents", "action_mask") in env.observation_spec.keys(True)
    actor = RandomActor(actions_of(env), masked=masked)
    rollout = env.rollout(steps, actor, break_when_any_done=False)
    speed = rollout.numel() / (time.perf_counter() - started)
    done = rollout["next", "done"]
    mean = rollout["next", "episode", "return"][done].mean()
    episodes = f"{int(done.sum())} random episodes, mean return of the team {mean:.1f}"
    print(f"\n{episodes}; {speed:.0f} steps/s")
    env.close()


if __name__ == "__main__":
    run_recipe(main)
