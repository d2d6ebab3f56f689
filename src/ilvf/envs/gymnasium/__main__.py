"""python -m ilvf.envs.gymnasium [TASK]: print what a task is like."""

import sys

import ilvf.envs.gymnasium
from ilvf.envs.gymnasium.env import Gymnasium
from ilvf.envs.options import GymnasiumOptions
from ilvf.envs.pettingzoo.__main__ import COPIES, describe
from ilvf.errors import run_recipe


def main(task: str = GymnasiumOptions.task) -> None:
    """Print the agents of a task, and return and speed of random episodes."""
    print(ilvf.envs.gymnasium.__doc__)
    describe(Gymnasium(task, num_envs=COPIES, seed=0), task)


if __name__ == "__main__":
    run_recipe(lambda: main(*sys.argv[1:]))
