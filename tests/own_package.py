"""What a package of a user has: an environment, an algorithm and sources of influence."""

from dataclasses import dataclass

import torch
from torchrl.envs import EnvBase, ExcludeTransform, TransformedEnv

from ilvf.algorithms.options import OnPolicyConfig, algorithm
from ilvf.algorithms.parts import categorical_actor, network_options
from ilvf.credit import FixedInfluence
from ilvf.envs import Encircle
from ilvf.modules import StateCritic
from ilvf.options import option, select


def make(num_envs, seed, device, n=4):
    """Encircle."""
    return Encircle(n, num_envs=num_envs, seed=seed, device=device, horizon=10)


def stateless(num_envs, seed, device):
    """Encircle as an environment of another library: no states and no attributes."""
    whole = make(num_envs, seed, device)
    hidden = ExcludeTransform(("agents", "state"))
    return Bare(TransformedEnv(whole, hidden))


HIDDEN = (
    "n_agents",
    "n_actions",
    "observation_dim",
    "state_dim",
    "masked",
    "horizon",
    "draw",
)


class Bare(TransformedEnv):
    """An environment without the attributes of this library's."""

    def __init__(self, env):
        super().__init__(env)

    def __getattr__(self, name):
        if name in HIDDEN:
            raise AttributeError(name)
        return super().__getattr__(name)


def broken(num_envs, seed, device):
    """Fails."""
    raise RuntimeError("the fan is stuck")


def number(**_):
    """Makes no environment."""
    return 3


@algorithm("circle", "ILVFP", build="own_package:build")
@dataclass
class CircleConfig(OnPolicyConfig):
    """Credit for one's own return and the neighbours' on a ring."""

    title = "Circle"
    reach: int = option(1, "neighbours on each side", least=0)


def build(config, make_env, env, seed):
    """The algorithm of a config."""
    from ilvf.algorithms.ilvf_p import ILVFP
    from ilvf.algorithms.options import ILVFPOptions

    return ILVFP(
        make_env,
        categorical_actor(config, env),
        StateCritic(env.n_agents, env.state_dim, **network_options(config, env)),
        influence=ring(env.n_agents, config.reach),
        seed=seed,
        **select(config, ILVFPOptions),
    )


def ring(n, reach):
    """Ŵ `[N, N]`."""
    eye = torch.eye(n)
    return sum(eye.roll(shift, 0) for shift in range(-reach, reach + 1)).clamp(max=1)


def neighbours(env: EnvBase, actor):
    """A source of influence."""
    return FixedInfluence(ring(env.n_agents, 1))


not_declared = OnPolicyConfig
