"""Show how influence changes over an episode: the same as `ilvf influence`.

python recipes/influence.py --help
"""

from ilvf.commands.influence import main
from ilvf.errors import run_recipe

if __name__ == "__main__":
    run_recipe(main)
