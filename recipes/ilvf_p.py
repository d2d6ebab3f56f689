"""ILVF-P: every agent is credited with exactly the returns that its action moves.

python recipes/ilvf_p.py                                       MPE Encircle, 20 agents, a minute
python recipes/ilvf_p.py env.n_agents=10 algorithm.tau=0.5 trainer.max_epochs=50
python recipes/ilvf_p.py seeds=0-4                             five seeds, one per core at a time
python recipes/ilvf_p.py algorithm.influence=ones              the MAPPO end of the family
python recipes/ilvf_p.py preset=paper                          Table 1
python recipes/ilvf_p.py resume=last trainer.max_epochs=60     continue the newest run

Composed of (`ilvf.algorithms.ilvf_p.build`):
    actor      CategoricalActor, or GaussianActor where actions are continuous
    critic     InfluenceCritic: V, Q and the Gumbel attention between them
    credit     ILVFAdvantage(GAE, LearnedInfluence(Threshold, Bernoulli or Soft))
    loss       PPOLoss: clipped surrogate, Huber regression of V and Q
"""

from ilvf.commands.train import train_algorithm
from ilvf.errors import run_recipe


def main() -> None:
    """Train as the command line says."""
    train_algorithm("ilvf_p", __doc__)


if __name__ == "__main__":
    run_recipe(main)
