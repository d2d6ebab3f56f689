"""ILVF-P (no inferring): the influence is read off an attention over actions, not states (App. B.3).

python recipes/no_inferring.py
python recipes/no_inferring.py algorithm.discretise=bernoulli seeds=0-4
"""

from ilvf.errors import run_recipe
from ilvf.experiment.command_line import Config, command_line


def build(cfg: Config):
    """The algorithm from its parts; what no part takes goes to `ILVFP` as it is."""
    from ilvf.algorithms import ILVFP
    from ilvf.modules import ActionInfluenceCritic
    from parts import discretisation, unpack

    a, factory, env, parts = unpack(cfg)
    discretise = discretisation(a)
    attention = {"tau": a.pop("tau"), "initial": a.pop("initial_influence")}
    critic = ActionInfluenceCritic(
        env.n_agents, env.state_dim, env.n_actions, **attention, **parts["net"]
    )
    return ILVFP(
        factory,
        parts["actor"],
        critic,
        discretise=discretise,
        loss=parts["loss"],
        seed=cfg["seed"],
        **a,
    )


def main() -> None:
    cfg = command_line(__file__, __doc__)
    from ilvf.experiment.run import train
    from pictures import Pictures

    train("no_inferring", cfg, build, [Pictures()])


if __name__ == "__main__":
    run_recipe(main)
