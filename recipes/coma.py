"""COMA: credit for the difference to what the policy would have got on average.

python recipes/coma.py
python recipes/coma.py algorithm.lmbda=0.95 seeds=0-4

Composed of (`ilvf.algorithms.coma.build`):
    actor      CategoricalActor
    critic     CounterfactualCritic: Q of every own action, given the others' actions
    credit     CounterfactualAdvantage
    loss       PPOLoss
"""

from ilvf.commands.train import train_algorithm
from ilvf.errors import run_recipe


def main() -> None:
    """Train as the command line says."""
    train_algorithm("coma", __doc__)


if __name__ == "__main__":
    run_recipe(main)
