"""python -m ilvf.envs.pettingzoo [TASK]: what a PettingZoo task is like."""

import sys

from ilvf.envs.pettingzoo.env import main

main(*sys.argv[1:])
