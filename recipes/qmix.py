"""QMIX and VDN: values of every agent, mixed to the team's and learned from the team's reward.

python recipes/qmix.py                                         MPE Encircle with 20 agents
python recipes/qmix.py algorithm.mixer=vdn env.n_agents=10
python recipes/qmix.py seeds=0-4                               five seeds, one per core at a time
python recipes/qmix.py resume=last trainer.max_epochs=200      continue the newest run

Composed of (`ilvf.algorithms.qmix.build`):
    actor      GreedyActor, ε-greedy in the values of each agent
    mixer      Mixer: monotone (QMIX) or a sum (VDN)
    loss       QMIXLoss: temporal differences of the team's value
    data       Replay
"""

from ilvf.commands.train import train_algorithm
from ilvf.errors import run_recipe


def main() -> None:
    """Train as the command line says."""
    train_algorithm("qmix", __doc__)


if __name__ == "__main__":
    run_recipe(main)
