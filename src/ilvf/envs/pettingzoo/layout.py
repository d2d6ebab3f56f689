"""Sizes of a PettingZoo environment: its agents, their spaces, masks and time limit.

Imports no torch.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.spaces.utils import flatdim
from pettingzoo import ParallelEnv

from ilvf.errors import require

# Attributes and arguments in which environments keep their time limit.
TIME_LIMITS = ("horizon", "max_cycles", "max_steps", "max_episode_steps")


@dataclass(frozen=True)
class Agent:
    """Sizes of one agent.

    Attributes:
        name: in PettingZoo.
        space: of its observation, without an action mask.
        size: numbers in its observation.
        state: numbers in `infos["state"]`; 0 if there is none.
        actions: number of its actions.
        start: number of its first action.
        mask_in: where its action mask is: "observation", "info", or "" if it has none.
    """

    name: str
    space: spaces.Space
    size: int
    state: int
    actions: int
    start: int
    mask_in: str


@dataclass(frozen=True)
class Layout:
    """What the spaces and the first reset of an environment show.

    Attributes:
        agents: in the order of `possible_agents`.
        global_state: numbers in `state()`; 0 if it is not wanted.
        horizon: the environment's own time limit; None if it does not provide one.
        statistics: names of its `episode_statistics()`; empty if it has none.
    """

    agents: tuple[Agent, ...]
    global_state: int
    horizon: int | None
    statistics: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The agents' names in PettingZoo."""
        return tuple(agent.name for agent in self.agents)

    @property
    def masked(self) -> bool:
        """Whether some agent cannot take some action at some time."""
        sizes = {agent.actions for agent in self.agents}
        return len(sizes) > 1 or any(agent.mask_in for agent in self.agents)

    @property
    def has_state(self) -> bool:
        """Whether infos have a state."""
        return any(agent.state for agent in self.agents)

    def sizes(self) -> tuple[int, int, int, int]:
        """(N, Do, D, A): number of agents, widest observation, widest state, most actions."""
        observation = max(agent.size for agent in self.agents)
        state = max(agent.state for agent in self.agents)
        actions = max(agent.actions for agent in self.agents)
        return len(self.agents), observation, state or observation, actions


def layout_of(env: ParallelEnv, infos: Mapping[str, Any], global_state: bool) -> Layout:
    """The layout of an environment.

    Args:
        env: after its first reset.
        infos: of that reset; they show whether there are states and action masks.
        global_state: whether `state()` is wanted.

    Raises:
        UsageError: an action space that is not Discrete, an observation that does not flatten,
            states of some agents only, or no `state_space`.
    """
    agents = tuple(_agent(env, name, infos.get(name, {})) for name in env.possible_agents)
    without = [agent.name for agent in agents if not agent.state]
    require(
        len(without) in (0, len(agents)),
        f'infos have a "state" for some agents, and none for {name_list(without)}; give all one, '
        "or none",
    )
    global_size = 0
    if global_state:
        require(hasattr(env, "state_space"), f"global_state=true, but {env} has no state_space")
        global_size = flatdim(env.state_space)
    statistics = tuple(env.episode_statistics()) if hasattr(env, "episode_statistics") else ()
    return Layout(agents, global_size, _time_limit(env), statistics)


def _time_limit(env: ParallelEnv) -> int | None:
    for name in TIME_LIMITS:
        limit = getattr(env.unwrapped, name, None)
        if isinstance(limit, int | np.integer) and limit > 0:
            return int(limit)
    return None


def _agent(env: ParallelEnv, name: str, info: Mapping[str, Any]) -> Agent:
    action = env.action_space(name)
    space = env.observation_space(name)
    require(
        isinstance(action, spaces.Discrete),
        f"{name} has actions {action}, need Discrete: this library's actors choose one of several",
    )
    mask_in = "info" if "action_mask" in info else ""
    if isinstance(space, spaces.Dict) and {"observation", "action_mask"} <= set(space):
        space = space["observation"]
        mask_in = "observation"
    require(
        space.is_np_flattenable, f"{name} observes {space}, which does not flatten into numbers"
    )
    return Agent(
        name=name,
        space=space,
        size=flatdim(space),
        state=np.asarray(info["state"]).size if "state" in info else 0,
        actions=int(action.n),
        start=int(action.start),
        mask_in=mask_in,
    )


def name_list(names: Iterable[str]) -> str:
    """Sorted names with commas, for messages."""
    return ", ".join(sorted(map(str, names))) or "nobody"


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type if it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
