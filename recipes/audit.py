"""Measure who moves whose return, against the learned influence: the same as `ilvf audit`.

python recipes/audit.py --help
"""

from ilvf.commands.audit import main
from ilvf.errors import run_recipe

if __name__ == "__main__":
    run_recipe(main)
