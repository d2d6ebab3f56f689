"""How much memory a run needs, asked before it is allocated."""

import psutil
from torchrl.envs import EnvBase

from ilvf.algorithms.observed import Read, parts_in
from ilvf.errors import require
from ilvf.experiment.config import Config
from ilvf.modules.entity_sets import EntitySet

BYTES = 4  # of a float32
COPIES = 4  # parameters, gradients and Adam's two moments
GIB = 2**30


def require_memory(config: Config, env: EnvBase) -> None:
    """Raise unless the networks and one rollout fit into the memory that is available.

    The estimate is a lower bound: first layers on the joint state, hidden layers, and what a
    rollout keeps of every agent.
    """
    networks = network_bytes(config, env) / GIB
    rollout = rollout_bytes(config, env) / GIB
    available = psutil.virtual_memory().available / GIB
    require(
        networks + rollout < available,
        f"the networks need about {networks:.1f} GiB and a rollout {rollout:.1f} GiB, but "
        f"{available:.1f} GiB are available; make algorithm.hidden, algorithm.depth, "
        "algorithm.num_envs, algorithm.rollout_steps or env.n_agents smaller",
    )


def network_bytes(config: Config, env: EnvBase) -> float:
    """Of parameters, gradients and moments of actor and critics."""
    algorithm = config.algorithm
    networks = 1 if algorithm.share else env.n_agents
    hidden = float(algorithm.hidden)
    read = numbers_read(config, env, "observation")
    inputs = read + seen_by_critic(config, env) * numbers_read(config, env, "state")
    layers = inputs * hidden + 2 * (algorithm.depth - 1) * hidden**2
    return BYTES * COPIES * networks * layers


def numbers_read(config: Config, env: EnvBase, name: Read) -> float:
    """What the first layers read of an observation or a state: features in place of its parts."""
    numbers = getattr(env, f"{name}_dim")
    for part in parts_in(name, config.algorithm, env):
        read = part.embedding + 1 if isinstance(part, EntitySet) else config.algorithm.hidden
        numbers += read - part.size
    return numbers


def seen_by_critic(config: Config, env: EnvBase) -> int:
    """Agents whose states the first layer of each critic has parameters of its own for."""
    algorithm = config.algorithm
    one = (
        algorithm.get("shared_first"),
        algorithm.get("critic") == "observation",
        algorithm.get("neighbours_by") == "attention",
    )
    if any(one):
        return 1
    neighbours = algorithm.get("neighbours")
    return env.n_agents if neighbours is None else min(neighbours + 1, env.n_agents)


def rollout_bytes(config: Config, env: EnvBase) -> float:
    """Of the observations and states of one rollout, and of the evaluation's."""
    algorithm = config.algorithm
    horizon = algorithm.eval_steps or getattr(env, "horizon", 0) or 0
    steps = float(algorithm.num_envs) * algorithm.rollout_steps
    steps += float(algorithm.eval_episodes) * horizon
    return BYTES * 2 * steps * env.n_agents * (env.observation_dim + env.state_dim)
