"""A Gymnasium environment with tuple spaces as a PettingZoo parallel environment.

Imports no torch, so a child process starts in half a second.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from ilvf.envs.options import GYMNASIUM_PACKAGES, GymnasiumOptions
from ilvf.envs.pettingzoo.faults import ProtocolError, described, in_words
from ilvf.envs.pettingzoo.layout import TIME_LIMITS
from ilvf.envs.pettingzoo.tasks import imported
from ilvf.errors import UsageError, require

OWN_LIMITS = (*TIME_LIMITS, "_max_episode_steps")  # Level-Based Foraging has the last one
FORMS = "write the name of a registered environment, or package.module:NAME"


@dataclass(frozen=True)
class TeamTask:
    """Makes the environments of a task; worker processes get it by pickle.

    Attributes:
        name: a registered name, or `module:NAME`.
    """

    name: str

    def __call__(self, **kwargs: Any) -> ParallelEnv:
        """One environment, as a PettingZoo parallel environment."""
        spec = copy.deepcopy(spec_of(self.name))
        spec.kwargs.update(kwargs)
        return TeamEnv(gymnasium.make(spec, disable_env_checker=True), self.name)


def require_task(options: GymnasiumOptions) -> None:
    """Raise unless this machine has the package of a task."""
    spec_of(options.task)


def spec_of(task: str) -> gymnasium.envs.registration.EnvSpec:
    """What is registered under a name, after its package has been imported.

    Raises:
        UsageError: the package is not installed, or the name is not registered.
    """
    module, _, name = task.rpartition(":")
    require(bool(name), f"task={task!r} names no environment; {FORMS}")
    module = module or GYMNASIUM_PACKAGES.get(name.partition("-")[0], "")
    if module:
        imported(module, task, FORMS)
    try:
        return gymnasium.spec(name)
    except gymnasium.error.Error as error:
        raise UsageError(f"task={task!r} is not registered ({in_words(error)}); {FORMS}") from error


class TeamEnv(ParallelEnv):
    """A Gymnasium environment whose actions, observations and rewards are tuples over agents.

    Args:
        env: the environment.
        name: of its task.

    Raises:
        UsageError: its spaces are no tuples of equal length.
    """

    def __init__(self, env: gymnasium.Env, name: str):
        for kind, space in (("action", env.action_space), ("observation", env.observation_space)):
            require(
                isinstance(space, spaces.Tuple),
                f"{name} has the {kind} space {space!s:.100}, need a Tuple of one per agent",
            )
        actions: Any = env.action_space
        observations: Any = env.observation_space
        require(
            len(actions) == len(observations) > 0,
            f"{name} has {len(actions)} action spaces and {len(observations)} observation spaces, "
            "need one of each per agent",
        )
        self.env = env
        self.metadata = {"name": name}
        self.possible_agents = [f"agent_{i}" for i in range(len(actions))]
        self.agents: list[str] = []
        self.action_spaces = dict(zip(self.possible_agents, actions, strict=True))
        self.observation_spaces = dict(zip(self.possible_agents, observations, strict=True))
        self.max_steps = _time_limit(env)
        self.steps = 0  # of this episode

    def observation_space(self, agent: str) -> spaces.Space:
        """The observation space of an agent."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space:
        """The action space of an agent."""
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: Any = None) -> tuple[dict, dict]:
        """Start an episode; return observations and empty infos by agent."""
        result = self.env.reset(seed=seed)
        self.agents = list(self.possible_agents)
        self.steps = 0
        observations, _ = _parts(result, "reset", ("observations", "info"))
        return self._by_agent(observations, "observations"), {}

    def step(self, actions: Mapping[str, int]) -> tuple[dict, dict, dict, dict, dict]:
        """One step with an action of every agent."""
        result = self.env.step(tuple(actions[agent] for agent in self.possible_agents))
        self.steps += 1
        names = ("observations", "rewards", "terminated", "truncated", "info")
        observations, rewards, terminated, truncated, _ = _parts(result, "step", names)
        terminations = self._flags(terminated, "terminated")
        truncations = self._flags(truncated, "truncated")
        for kind, flags in (("terminated", terminations), ("truncated", truncations)):
            if len({bool(flag) for flag in flags.values()}) > 1:
                raise ProtocolError(
                    f"{kind} differs between agents: {list(map(bool, flags.values()))}; those of a "
                    "Gymnasium team end together, other tasks are for env=pettingzoo dying=true"
                )
        if self.steps == self.max_steps:
            terminations = dict.fromkeys(self.agents, False)
            truncations = dict.fromkeys(self.agents, True)
        self.agents = [a for a in self.agents if not (terminations[a] or truncations[a])]
        seen = self._by_agent(observations, "observations")
        return seen, self._by_agent(rewards, "rewards"), terminations, truncations, {}

    def _by_agent(self, values: Any, kind: str) -> dict[str, Any]:
        """Agent → its value."""
        n = len(self.possible_agents)
        if not isinstance(values, Sequence | np.ndarray) or len(values) != n:
            raise ProtocolError(
                f"{kind} are {described(values)}, need a list with {n}, one per agent"
            )
        return dict(zip(self.possible_agents, values, strict=True))

    def _flags(self, value: Any, kind: str) -> dict[str, Any]:
        """Agent → its flag; a single one is that of all agents."""
        if isinstance(value, Sequence) or (isinstance(value, np.ndarray) and value.ndim):
            return self._by_agent(value, kind)
        return dict.fromkeys(self.possible_agents, value)

    def close(self) -> None:
        """Close the environment."""
        self.env.close()


def _parts(result: Any, method: str, names: tuple[str, ...]) -> Any:
    if not isinstance(result, tuple) or len(result) != len(names):
        raise ProtocolError(
            f"{method} returned {described(result)}, need a tuple of {len(names)}: "
            f"({', '.join(names)})"
        )
    return result


def _time_limit(env: gymnasium.Env) -> int | None:
    """Steps of an episode: the shorter of Gymnasium's limit and the environment's own."""
    found: list[Any] = [getattr(env.unwrapped, name, None) for name in OWN_LIMITS]
    found.append(env.spec.max_episode_steps if env.spec else None)
    numbers = [x for x in found if isinstance(x, int | np.integer) and not isinstance(x, bool)]
    return min((int(x) for x in numbers if x > 0), default=None)
