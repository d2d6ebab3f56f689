"""ILVF-S: every agent is credited with the returns that a score test finds it to move.

python recipes/ilvf_s.py                              MPE Encircle, 20 agents
python recipes/ilvf_s.py algorithm.prior=team         whole team until the test finds something
python recipes/ilvf_s.py algorithm.critic=influence   values of ILVF-P's critic

Composed of (`ilvf.algorithms.ilvf_s.build`):
    actor      CategoricalActor, or GaussianActor where actions are continuous
    critic     StateCritic: V of every agent
    credit     ILVFAdvantage(GAE, ScoreInfluence(actor))
    loss       PPOLoss
"""

from ilvf.commands.train import train_algorithm
from ilvf.errors import run_recipe


def main() -> None:
    """Train as the command line says."""
    train_algorithm("ilvf_s", __doc__)


if __name__ == "__main__":
    run_recipe(main)
