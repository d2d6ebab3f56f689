"""ILVF-P: every agent is credited with exactly the returns that its action moves.

python recipes/ilvf_p.py                                       MPE Encircle with 20 agents, about a minute
python recipes/ilvf_p.py env.n_agents=10 algorithm.tau=0.5 trainer.max_epochs=50
python recipes/ilvf_p.py seeds=0-4                             five seeds, one per core at a time
python recipes/ilvf_p.py algorithm.influence=ones              the MAPPO end of the family
python recipes/ilvf_p.py preset=paper                          Table 1
python recipes/ilvf_p.py resume=last trainer.max_epochs=60     go on
"""

from ilvf.errors import run_recipe
from ilvf.experiment.command_line import Config, command_line


def build(cfg: Config):
    """The algorithm from its parts; what no part takes goes to `ILVFP` as it is."""
    import torch

    from ilvf.algorithms import ILVFP
    from ilvf.errors import require, require_choice
    from ilvf.modules import InfluenceCritic, StateCritic
    from parts import discretisation, unpack

    a, factory, env, parts = unpack(cfg)
    n, net, discretise = env.n_agents, parts["net"], discretisation(a)
    influence, first = a.pop("influence"), a.pop("shared_first")
    attention = {"tau": a.pop("tau"), "initial": a.pop("initial_influence")}
    eye = torch.eye(n, dtype=torch.bool)
    graphs = {
        "learned": lambda: None,
        "ones": lambda: torch.ones(n, n),
        "identity": lambda: eye.float(),
        "reward_graph": lambda: (env.reward_graph.T | eye).float(),
        "full_graph": lambda: (env.value_graph.T | eye).float(),
    }
    require_choice("algorithm.influence", influence, tuple(graphs))
    graph = {"reward_graph": "reward_graph", "full_graph": "value_graph"}.get(
        influence, "batch_size"
    )
    require(
        hasattr(env, graph),
        f"algorithm.influence={influence}: env={cfg['env']['name']} does not know its {graph}",
    )
    if influence == "learned":
        critic = InfluenceCritic(
            n, env.state_dim, env.n_actions, shared_first=first, **attention, **net
        )
    else:
        critic = StateCritic(n, env.state_dim, shared_first=first, **net)
    credit = dict(influence=graphs[influence](), discretise=discretise)
    return ILVFP(
        factory, parts["actor"], critic, **credit, loss=parts["loss"], seed=cfg["seed"], **a
    )


def main() -> None:
    cfg = command_line(__file__, __doc__)
    from ilvf.experiment.run import train
    from pictures import Pictures

    train("ilvf_p", cfg, build, [Pictures()])


if __name__ == "__main__":
    run_recipe(main)
