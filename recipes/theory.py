"""Check the paper's claims on games that can be solved exactly: the same as `ilvf theory`.

python recipes/theory.py --help
"""

from ilvf.commands.theory import main
from ilvf.errors import run_recipe

if __name__ == "__main__":
    run_recipe(main)
