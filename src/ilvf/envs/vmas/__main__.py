"""python -m ilvf.envs.vmas [TASK]: print what a scenario is like, and draw 100 random steps."""

import sys

import ilvf.envs.vmas
from ilvf.envs.check import check_env
from ilvf.envs.vmas.env import Vmas
from ilvf.errors import run_recipe

COPIES = 32
STEPS = 100


def main(task: str = "navigation") -> None:
    """Print the sizes of a scenario and the mean return of random episodes."""
    print(ilvf.envs.vmas.__doc__)
    env = Vmas(task, horizon=STEPS, num_envs=COPIES, seed=0)
    print(f"{task}: {check_env(env)}")
    rollout = env.rollout(STEPS, break_when_any_done=False)
    ended = rollout["next", "done"]
    mean = rollout["next", "episode", "return"][ended].mean()
    print(f"{int(ended.sum())} random episodes, mean return of the team {mean:.2f}")
    env.draw(rollout).savefig(f"{task}.png", dpi=120)
    print(f"{task}.png shows the first of them")


if __name__ == "__main__":
    run_recipe(lambda: main(*sys.argv[1:]))
