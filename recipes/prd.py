"""PRD-MAPPO: credit for the agents whose returns attend to an action (partial reward decoupling).

python recipes/prd.py                               hard mask: attention above 0.05
python recipes/prd.py algorithm.threshold=null      soft mask: advantages weighted by the attention

Composed of (`ilvf.algorithms.prd.build`):
    actor      CategoricalActor, or GaussianActor where actions are continuous
    critic     RelevanceCritic: V, and Q with a softmax attention over the other agents
    credit     ILVFAdvantage(GAE, LearnedInfluence(Threshold or Soft, writer=relevance_module()))
    loss       PPOLoss
"""

from ilvf.commands.train import train_algorithm
from ilvf.errors import run_recipe


def main() -> None:
    """Train as the command line says."""
    train_algorithm("prd", __doc__)


if __name__ == "__main__":
    run_recipe(main)
