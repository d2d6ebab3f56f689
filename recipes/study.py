"""Run a study and report on it: the same as `ilvf study`.

python recipes/study.py study=fig3 scale=smoke
python recipes/study.py --help
"""

from ilvf.commands.study import main
from ilvf.errors import run_recipe

if __name__ == "__main__":
    run_recipe(main)
