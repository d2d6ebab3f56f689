"""MADDPG: every agent ascends its own critic, on its own reward.

python recipes/maddpg.py                                       MPE Encircle with 20 agents
python recipes/maddpg.py env.n_agents=10 algorithm.entropy=0.02
python recipes/maddpg.py env.continuous=true algorithm.noise=ou  continuous actions
python recipes/maddpg.py seeds=0-4                             five seeds, one per core at a time
python recipes/maddpg.py resume=last trainer.max_epochs=200    continue the newest run

Composed of (`ilvf.algorithms.maddpg.build`):
    actor      CategoricalActor, or DeterministicActor where actions are continuous
    critic     JointCritic: every agent's value of the joint action
    loss       MADDPGLoss: straight-through Gumbel-softmax actions, or deterministic ones
    data       Replay
"""

from ilvf.commands.train import train_algorithm
from ilvf.errors import run_recipe


def main() -> None:
    """Train as the command line says."""
    train_algorithm("maddpg", __doc__)


if __name__ == "__main__":
    run_recipe(main)
