"""Run an algorithm with many values of its keys, and report on the best: the same as `ilvf sweep`.

python recipes/sweep.py ilvf_p algorithm.tau=0.5,1,2
python recipes/sweep.py --help
"""

from ilvf.commands.sweep import main
from ilvf.errors import run_recipe

if __name__ == "__main__":
    run_recipe(main)
