"""Evaluate a trained team again, or a rule, and draw an episode: the same as `ilvf evaluate`.

python recipes/evaluate.py --help
"""

from ilvf.commands.evaluate import main
from ilvf.errors import run_recipe

if __name__ == "__main__":
    run_recipe(main)
