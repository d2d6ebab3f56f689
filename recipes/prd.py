"""PRD-MAPPO: credit for the agents whose returns attend to one's action (partial reward decoupling).

python recipes/prd.py                               hard mask: attention above 0.05
python recipes/prd.py algorithm.threshold=null      soft mask: advantages weighted by the attention
"""

from ilvf.errors import run_recipe
from ilvf.experiment.command_line import Config, command_line


def build(cfg: Config):
    """The algorithm from its parts; what no part takes goes to `ILVFP` as it is."""
    from ilvf.algorithms import ILVFP
    from ilvf.credit import Soft, Threshold
    from ilvf.modules import RelevanceCritic
    from parts import unpack

    a, factory, env, parts = unpack(cfg)
    epsilon = a.pop("threshold")
    critic = RelevanceCritic(env.n_agents, env.state_dim, env.n_actions, **parts["net"])
    credit = dict(
        weigh=critic.relevance_module(),
        discretise=Soft() if epsilon is None else Threshold(epsilon),
    )
    return ILVFP(
        factory, parts["actor"], critic, **credit, loss=parts["loss"], seed=cfg["seed"], **a
    )


def main() -> None:
    cfg = command_line(__file__, __doc__)
    from ilvf.experiment.run import train
    from pictures import Pictures

    train("prd", cfg, build, [Pictures()])


if __name__ == "__main__":
    run_recipe(main)
