"""MAPPO: every agent is credited with everything.

python recipes/mappo.py                                 a value per agent, summed (Ŵ = 1)
python recipes/mappo.py algorithm.critic=central        the classical form: ONE value of the team
python recipes/mappo.py env.continuous=true             continuous actions
python recipes/mappo.py preset=paper seeds=0-4

Composed of (`ilvf.algorithms.mappo.build`):
    actor      CategoricalActor, or GaussianActor where actions are continuous
    critic     StateCritic, or CentralCritic
    credit     ILVFAdvantage(GAE, FixedInfluence(ones)), or TeamAdvantage
    loss       PPOLoss
"""

from ilvf.commands.train import train_algorithm
from ilvf.errors import run_recipe


def main() -> None:
    """Train as the command line says."""
    train_algorithm("mappo", __doc__)


if __name__ == "__main__":
    run_recipe(main)
