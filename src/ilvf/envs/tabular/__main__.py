"""python -m ilvf.envs.tabular [GAME]: print a game with its exact influence."""

import sys

from ilvf.envs import tabular
from ilvf.envs.tabular.describe import describe
from ilvf.envs.tabular.games import make_game

print(tabular.__doc__)
print(describe(make_game(sys.argv[1] if len(sys.argv) > 1 else "switch")))
