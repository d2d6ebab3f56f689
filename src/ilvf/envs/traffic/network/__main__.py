"""python -m ilvf.envs.traffic.network FILE.net.xml: what a road network offers."""

from ilvf.envs.traffic.network.network import main
from ilvf.errors import run_recipe

run_recipe(main)
