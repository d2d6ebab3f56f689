"""ILVF-P (no inferring): the influence is an attention over actions, not states (App. B.3).

python recipes/no_inferring.py
python recipes/no_inferring.py algorithm.discretise=bernoulli seeds=0-4

Composed of (`ilvf.algorithms.no_inferring.build`):
    actor      CategoricalActor, or GaussianActor where actions are continuous
    critic     ActionInfluenceCritic: V, and Q with an attention over actions
    credit     ILVFAdvantage(GAE, LearnedInfluence)
    loss       PPOLoss
"""

from ilvf.commands.train import train_algorithm
from ilvf.errors import run_recipe


def main() -> None:
    """Train as the command line says."""
    train_algorithm("no_inferring", __doc__)


if __name__ == "__main__":
    run_recipe(main)
