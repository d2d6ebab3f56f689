"""IPPO: every agent learns from its own return alone.

python recipes/ippo.py                              values of the own observation
python recipes/ippo.py algorithm.critic=state       IPPO-C: values of the global state (Ŵ = I)

Composed of (`ilvf.algorithms.ippo.build`):
    actor      CategoricalActor, or GaussianActor where actions are continuous
    critic     LocalCritic, or StateCritic
    credit     ILVFAdvantage(GAE, FixedInfluence(identity))
    loss       PPOLoss
"""

from ilvf.commands.train import train_algorithm
from ilvf.errors import run_recipe


def main() -> None:
    """Train as the command line says."""
    train_algorithm("ippo", __doc__)


if __name__ == "__main__":
    run_recipe(main)
