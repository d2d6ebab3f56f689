"""COMA: credit by asking what the team would have got had this agent acted as it does on average.

python recipes/coma.py
python recipes/coma.py algorithm.lmbda=0.95 seeds=0-4
"""

from ilvf.errors import run_recipe
from ilvf.experiment.command_line import Config, command_line


def build(cfg: Config):
    """The algorithm from its parts; what no part takes goes to `COMA` as it is."""
    from ilvf.algorithms import COMA
    from ilvf.modules import CounterfactualCritic
    from parts import unpack

    a, factory, env, parts = unpack(cfg)
    critic = CounterfactualCritic(env.n_agents, env.state_dim, env.n_actions, **parts["net"])
    return COMA(factory, parts["actor"], critic, loss=parts["loss"], seed=cfg["seed"], **a)


def main() -> None:
    cfg = command_line(__file__, __doc__)
    from ilvf.experiment.run import train
    from pictures import Pictures

    train("coma", cfg, build, [Pictures()])


if __name__ == "__main__":
    run_recipe(main)
