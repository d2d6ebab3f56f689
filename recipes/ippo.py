"""IPPO: every agent learns from its own return alone.

python recipes/ippo.py                              values of the own observation
python recipes/ippo.py algorithm.critic=state       IPPO-C: values of the global state (Ŵ = I)
"""

from ilvf.errors import run_recipe
from ilvf.experiment.command_line import Config, command_line


def build(cfg: Config):
    """The algorithm from its parts; what no part takes goes to `IPPO` as it is."""
    from ilvf.algorithms import IPPO
    from ilvf.errors import require_choice
    from ilvf.modules import LocalCritic, StateCritic
    from parts import unpack

    a, factory, env, parts = unpack(cfg)
    n, net, kind = env.n_agents, parts["net"], a.pop("critic")
    critics = {
        "observation": lambda: LocalCritic(n, env.observation_dim, **net),
        "state": lambda: StateCritic(n, env.state_dim, **net),
    }
    require_choice("algorithm.critic", kind, tuple(critics))
    return IPPO(factory, parts["actor"], critics[kind](), loss=parts["loss"], seed=cfg["seed"], **a)


def main() -> None:
    cfg = command_line(__file__, __doc__)
    from ilvf.experiment.run import train
    from pictures import Pictures

    train("ippo", cfg, build, [Pictures()])


if __name__ == "__main__":
    run_recipe(main)
