"""python -m ilvf.envs.gymnasium [TASK] [KEY=VALUE ...]: print what a task is like."""

from ilvf.envs import gymnasium
from ilvf.envs.options import GymnasiumOptions
from ilvf.envs.pettingzoo.__main__ import COPIES, describe
from ilvf.envs.shown import shown_env
from ilvf.errors import run_recipe


def main() -> None:
    """Print the agents of a task, and return and speed of random episodes."""
    task = ("task", GymnasiumOptions.task)
    describe(*shown_env(gymnasium, task=task, num_envs=COPIES, seed=0))


if __name__ == "__main__":
    run_recipe(main)
