"""QMIX and VDN: values of every agent, mixed to the team's and learned from the team's reward.

python recipes/qmix.py                                         MPE Encircle with 20 agents
python recipes/qmix.py algorithm.mixer=vdn env.n_agents=10
python recipes/qmix.py seeds=0-4                               five seeds, one per core at a time
python recipes/qmix.py resume=last trainer.max_epochs=200      go on
"""

import functools

from ilvf.errors import run_recipe
from ilvf.experiment.command_line import Config, command_line


def build(cfg: Config):
    """The algorithm from its parts; what no part takes goes to `QMIX` as it is."""
    from ilvf.algorithms.qmix import QMIX
    from ilvf.envs import make_env
    from ilvf.modules.actors.greedy import GreedyActor
    from ilvf.modules.mixer import Mixer

    a, factory = dict(cfg["algorithm"]), functools.partial(make_env, **cfg["env"])
    env = factory(num_envs=1, seed=cfg["seed"])
    env.close()  # what it is made of is all that is wanted

    def take(*keys: str) -> dict:
        return {k: a.pop(k) for k in keys}

    net = take("hidden", "depth", "gain", "hidden_norm", "input_norm", "share")
    loss = take("gamma", "normalise", "double", "huber_delta")
    masked = ("agents", "action_mask") in env.observation_spec.keys(True)
    actor = GreedyActor(env.n_agents, env.observation_dim, env.n_actions, masked=masked, **net)
    mixer = Mixer(
        a.pop("mixer"),
        env.n_agents,
        env.state_dim,
        embed=a.pop("embed"),
        input_norm=net["input_norm"],
    )
    return QMIX(factory, actor, mixer, loss=loss, seed=cfg["seed"], **a)


def main() -> None:
    cfg = command_line(__file__, __doc__)
    from ilvf.experiment.run import train
    from pictures import Pictures

    name = cfg["algorithm"]["mixer"]
    train(name, cfg, build, [Pictures()])


if __name__ == "__main__":
    run_recipe(main)
