"""Compare trained traffic signals with baselines on the map: the same as `ilvf traffic`.

python recipes/traffic.py --help
"""

from ilvf.commands.traffic import main
from ilvf.errors import run_recipe

if __name__ == "__main__":
    run_recipe(main)
