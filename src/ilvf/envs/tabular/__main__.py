"""python -m ilvf.envs.tabular [GAME] [KEY=VALUE ...]: print a game with its exact influence."""

from ilvf.envs import tabular
from ilvf.envs.shown import shown_env
from ilvf.envs.tabular.describe import describe
from ilvf.errors import run_recipe


def main() -> None:
    """Print a game."""
    env, _ = shown_env(tabular, task=("game", "switch"))
    print(describe(env.game))


if __name__ == "__main__":
    run_recipe(main)
