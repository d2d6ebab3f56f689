"""python -m ilvf.envs.tabular [GAME]: print a game with its exact influence."""

import sys

from ilvf.envs.tabular import env
from ilvf.envs.tabular.games import make_game

print(env.__doc__)
print(env.describe(make_game(sys.argv[1] if len(sys.argv) > 1 else "switch")))
