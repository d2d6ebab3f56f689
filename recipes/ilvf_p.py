"""ILVF-P: every agent is credited with exactly the returns that its action moves.

python recipes/ilvf_p.py                                       MPE Encircle with 20 agents, about a minute
python recipes/ilvf_p.py env.n_agents=10 algorithm.tau=0.5 trainer.max_epochs=50
python recipes/ilvf_p.py seeds=0-4                             five seeds, one per core at a time
python recipes/ilvf_p.py algorithm.influence=ones              the MAPPO end of the family
python recipes/ilvf_p.py preset=paper                          Table 1
python recipes/ilvf_p.py resume=last trainer.max_epochs=60     go on
"""

import functools

from ilvf.config import Config, command_line, run_recipe


def build(cfg: Config):
    """The algorithm from its parts; what no part takes goes to `ILVFP` as it is."""
    import torch

    from ilvf.algorithms import ILVFP
    from ilvf.envs import make_env
    from ilvf.errors import require_choice
    from ilvf.losses import Bernoulli, Soft, Threshold
    from ilvf.modules import CategoricalActor, InfluenceCritic, StateCritic

    a, factory = dict(cfg["algorithm"]), functools.partial(make_env, **cfg["env"])
    env = factory(num_envs=1, seed=cfg["seed"])
    n, eye = env.n_agents, torch.eye(env.n_agents, dtype=torch.bool)

    def take(*keys: str) -> dict:
        return {k: a.pop(k) for k in keys}

    tau, initial, gain = a.pop("tau"), a.pop("initial_influence"), a.pop("gain")
    net, shared = take("hidden", "depth", "hidden_norm", "share"), take("shared_first")
    loss = take("clip", "entropy", "value", "huber_delta", "value_clip")

    influence = a.pop("influence")
    graphs = {
        "learned": lambda: None,
        "ones": lambda: torch.ones(n, n),
        "identity": lambda: eye.float(),
        "reward_graph": lambda: (env.reward_graph.T | eye).float(),
        "full_graph": lambda: (env.value_graph.T | eye).float(),
    }
    require_choice("algorithm.influence", influence, tuple(graphs))
    discretise, c, noise = a.pop("discretise"), a.pop("threshold"), a.pop("noise")
    parts = {
        "threshold": lambda: Threshold(c, noise=noise == "true", tau=tau),
        "bernoulli": lambda: Bernoulli(noise=noise != "false", tau=tau),
        "soft": Soft,
    }
    require_choice("algorithm.discretise", discretise, tuple(parts))
    require_choice("algorithm.noise", noise, ("auto", "true", "false"))

    actor = CategoricalActor(n, env.observation_dim, env.n_actions, gain=gain, **net)
    if influence == "learned":
        critic = InfluenceCritic(n, env.state_dim, env.n_actions, tau=tau, initial=initial, **shared, **net)
    else:
        critic = StateCritic(n, env.state_dim, **shared, **net)
    parts_of = dict(influence=graphs[influence](), discretise=parts[discretise](), loss=loss)
    return ILVFP(factory, actor, critic, **parts_of, seed=cfg["seed"], **a)


def main() -> None:
    cfg = command_line(__file__, __doc__)
    from ilvf.run import train
    from pictures import Pictures

    train("ilvf_p", cfg, build, [Pictures()])


if __name__ == "__main__":
    run_recipe(main)
