"""Compare runs: learning curves with confidence bands, and a table: the same as `ilvf compare`.

python recipes/compare.py --help
"""

from ilvf.commands.compare import main
from ilvf.errors import run_recipe

if __name__ == "__main__":
    run_recipe(main)
