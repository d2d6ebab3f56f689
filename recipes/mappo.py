"""MAPPO: every agent is credited with everything.

python recipes/mappo.py                                 a value per agent, advantages summed (Ŵ = 1)
python recipes/mappo.py algorithm.critic=central        the classical form: ONE value of the summed reward
python recipes/mappo.py preset=paper seeds=0-4
"""

from ilvf.errors import run_recipe
from ilvf.experiment.command_line import Config, command_line


def build(cfg: Config):
    """The algorithm from its parts; what no part takes goes to `MAPPO` as it is."""
    from ilvf.algorithms import MAPPO
    from ilvf.errors import require_choice
    from ilvf.modules import CentralCritic, StateCritic
    from parts import unpack

    a, factory, env, parts = unpack(cfg)
    net, sizes = parts["net"], (env.n_agents, env.state_dim)
    kind, first = a.pop("critic"), a.pop("shared_first")
    critics = {
        "agents": lambda: StateCritic(*sizes, shared_first=first, **net),
        "central": lambda: CentralCritic(*sizes, **{k: v for k, v in net.items() if k != "share"}),
    }
    require_choice("algorithm.critic", kind, tuple(critics))
    return MAPPO(
        factory, parts["actor"], critics[kind](), loss=parts["loss"], seed=cfg["seed"], **a
    )


def main() -> None:
    cfg = command_line(__file__, __doc__)
    from ilvf.experiment.run import train
    from pictures import Pictures

    train("mappo", cfg, build, [Pictures()])


if __name__ == "__main__":
    run_recipe(main)
