"""Write a trained team into one file for other programs: the same as `ilvf export`.

python recipes/export.py --help
"""

from ilvf.commands.export import main
from ilvf.errors import run_recipe

if __name__ == "__main__":
    run_recipe(main)
