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
    """The algorithm from its parts."""
    import torch

    from ilvf.algorithms import ILVFP
    from ilvf.envs import make_env
    from ilvf.errors import require_choice
    from ilvf.losses import Bernoulli, Soft, Threshold
    from ilvf.modules import CategoricalActor, InfluenceCritic, StateCritic

    a, factory = cfg["algorithm"], functools.partial(make_env, **cfg["env"])
    env = factory(num_envs=1, seed=cfg["seed"])
    n, eye = env.n_agents, torch.eye(env.n_agents, dtype=torch.bool)

    graphs = {
        "learned": lambda: None,
        "ones": lambda: torch.ones(n, n),
        "identity": lambda: eye.float(),
        "reward_graph": lambda: (env.reward_graph.T | eye).float(),
        "full_graph": lambda: (env.value_graph.T | eye).float(),
    }
    require_choice("algorithm.influence", a["influence"], tuple(graphs))
    noise = {"bernoulli": True}.get(a["discretise"], False) if a["noise"] == "auto" else a["noise"]
    parts = {
        "threshold": lambda: Threshold(a["threshold"], noise=noise, tau=a["tau"]),
        "bernoulli": lambda: Bernoulli(noise=noise, tau=a["tau"]),
        "soft": Soft,
    }
    require_choice("algorithm.discretise", a["discretise"], tuple(parts))

    net = {k: a[k] for k in ("hidden", "depth", "hidden_norm", "share")}
    actor = CategoricalActor(n, env.observation_dim, env.n_actions, gain=a["gain"], **net)
    if a["influence"] == "learned":
        attention = dict(tau=a["tau"], initial=a["initial_influence"], shared_first=a["shared_first"])
        critic = InfluenceCritic(n, env.state_dim, env.n_actions, **attention, **net)
    else:
        critic = StateCritic(n, env.state_dim, shared_first=a["shared_first"], **net)
    return ILVFP(
        factory,
        actor,
        critic,
        influence=graphs[a["influence"]](),
        discretise=parts[a["discretise"]](),
        loss={k: a[k] for k in ("clip", "entropy", "value", "huber_delta", "value_clip")},
        seed=cfg["seed"],
        **{
            k: a[k]
            for k in ("orientation", "diagonal", "normalize", "gamma", "lmbda", "target", "value_norm", "min_variance")
        },
        **{k: a[k] for k in ("lr", "adam_eps", "max_grad_norm", "num_envs", "rollout_steps", "epochs", "minibatches")},
        **{k: a[k] for k in ("eval_every", "eval_episodes")},
    )


def main() -> None:
    cfg = command_line(__file__, __doc__)
    from ilvf.run import train
    from pictures import Pictures

    train("ilvf_p", cfg, build, [Pictures()])


if __name__ == "__main__":
    run_recipe(main)
