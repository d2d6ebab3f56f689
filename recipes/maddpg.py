"""MADDPG for discrete actions: every agent climbs its own critic of the joint action, on its own reward.

python recipes/maddpg.py                                       MPE Encircle with 20 agents
python recipes/maddpg.py env.n_agents=10 algorithm.entropy=0.02
python recipes/maddpg.py seeds=0-4                             five seeds, one per core at a time
python recipes/maddpg.py resume=last trainer.max_epochs=200    go on
"""

import functools

from ilvf.errors import run_recipe
from ilvf.experiment.command_line import Config, command_line


def build(cfg: Config):
    """The algorithm from its parts; what no part takes goes to `MADDPG` as it is."""
    from ilvf.algorithms.maddpg import MADDPG
    from ilvf.envs import make_env
    from ilvf.modules import CategoricalActor
    from ilvf.modules.critics.joint import JointCritic

    a, factory = dict(cfg["algorithm"]), functools.partial(make_env, **cfg["env"])
    env = factory(num_envs=1, seed=cfg["seed"])
    env.close()  # what it is made of is all that is wanted

    def take(*keys: str) -> dict:
        return {k: a.pop(k) for k in keys}

    gain, net = a.pop("gain"), take("hidden", "depth", "hidden_norm", "input_norm", "share")
    loss = take("gamma", "normalise", "temperature", "entropy", "huber_delta")
    masked = ("agents", "action_mask") in env.observation_spec.keys(True)
    actor = CategoricalActor(
        env.n_agents, env.observation_dim, env.n_actions, gain=gain, masked=masked, **net
    )
    critic = JointCritic(env.n_agents, env.state_dim, env.n_actions, gain=gain, **net)
    return MADDPG(factory, actor, critic, loss=loss, seed=cfg["seed"], **a)


def main() -> None:
    cfg = command_line(__file__, __doc__)
    from ilvf.experiment.run import train
    from pictures import Pictures

    train("maddpg", cfg, build, [Pictures()])


if __name__ == "__main__":
    run_recipe(main)
