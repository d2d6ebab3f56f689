"""Sizes of a PettingZoo environment: its agents, their spaces, masks and time limit.

Imports no torch.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.spaces.utils import flatdim
from pettingzoo import ParallelEnv

from ilvf.envs.pettingzoo.acting import Acting, acting_of
from ilvf.envs.pettingzoo.declared import agent_names, as_state_space, space_of
from ilvf.envs.pettingzoo.faults import ProtocolError, described, name_list
from ilvf.envs.pettingzoo.image_spaces import image_in
from ilvf.envs.pettingzoo.results import Values, info_of, unpack_reset
from ilvf.envs.pettingzoo.sequences import padded
from ilvf.envs.pettingzoo.set_spaces import sets_of
from ilvf.envs.pettingzoo.team_acting import TeamActing, as_team
from ilvf.envs.pettingzoo.values import number, numbers
from ilvf.errors import UsageError
from ilvf.modules.entity_sets import Found
from ilvf.modules.images import Image

# Attributes and arguments in which environments keep their time limit.
TIME_LIMITS = ("horizon", "max_cycles", "max_steps", "max_episode_steps")
OWN_STATISTICS = ("return", "length")  # of every environment, computed by this library


@dataclass(frozen=True)
class Agent:
    """Sizes of one agent.

    Attributes:
        name: in PettingZoo.
        space: of its observation, without an action mask.
        size: numbers in its observation.
        vector: the shape of its observation, if that is a Box with one axis; otherwise None.
        state: numbers in `infos["state"]`; 0 if there is none.
        state_shape: their shape in the first reset.
        acting: its actions.
        mask_in: where its action mask is: "observation", "info", or "" if it has none.
        nested: its observation is under the key "observation", beside "action_mask".
    """

    name: str
    space: spaces.Space
    size: int
    vector: tuple[int, ...] | None
    state: int
    state_shape: tuple[int, ...]
    acting: Acting
    mask_in: str
    nested: bool

    @property
    def needs_info(self) -> bool:
        """Whether its info holds a state or an action mask."""
        return self.state > 0 or self.mask_in == "info"


@dataclass(frozen=True)
class Layout:
    """What the spaces and the first reset of an environment show.

    Attributes:
        agents: in the order of `possible_agents`.
        state_space: of `state()`; None if it is not wanted.
        horizon: the environment's own time limit; None if it does not provide one.
        statistics: names of its `episode_statistics()`; empty if it has none.
    """

    agents: tuple[Agent, ...]
    state_space: spaces.Space | None
    horizon: int | None
    statistics: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The agents' names in PettingZoo."""
        return tuple(agent.name for agent in self.agents)

    @property
    def masked(self) -> bool:
        """Whether some agent cannot take some action at some time."""
        team = self.acting
        sizes = {acting.size for acting in team.agents}
        padded = len(sizes) > 1 and not team.continuous and not team.several
        return padded or any(agent.mask_in for agent in self.agents)

    @cached_property
    def acting(self) -> TeamActing:
        """The actions of the whole team."""
        return TeamActing(tuple(agent.acting for agent in self.agents))

    @property
    def image(self) -> Image | None:
        """The image in the observation, if all agents have the same."""
        images = {image_in(agent.space) for agent in self.agents}
        return images.pop() if len(images) == 1 else None

    @property
    def sets(self) -> Found:
        """The sets of entities in the observation, if all agents have the same."""
        found = [sets_of(agent.space) for agent in self.agents]
        for wrong in found:
            if isinstance(wrong, UsageError):
                return wrong
        return found[0] if len(set(found)) == 1 else ()

    @property
    def has_state(self) -> bool:
        """Whether infos have a state."""
        return any(agent.state for agent in self.agents)

    @property
    def global_state(self) -> int:
        """Numbers in `state()`; 0 if it is not wanted."""
        return 0 if self.state_space is None else flatdim(self.state_space)

    def sizes(self) -> tuple[int, int, int, int]:
        """(N, Do, D, A): number of agents, widest observation, widest state, size of actions."""
        observation = max(agent.size for agent in self.agents)
        state = max(agent.state for agent in self.agents)
        return len(self.agents), observation, state or observation, self.acting.size


def layout_of(env: ParallelEnv, start: Any, global_state: bool, entities: int) -> Layout:
    """The layout of an environment.

    Args:
        env: after its first reset.
        start: result of that reset; its infos show whether there are states and action masks.
        global_state: whether `state()` is wanted.
        entities: to which sequences in observations are padded.

    Raises:
        ProtocolError: an action space that is not known, Boxes of some agents only, an observation
            that does not flatten, states of some agents only, or no `state_space`.
    """
    _, infos = unpack_reset(start)
    team = as_team(
        {name: acting_of(space_of(env, "action", name), name) for name in agent_names(env)}
    )
    agents = tuple(_agent(env, name, info_of(infos, name), team[name], entities) for name in team)
    if not any(agent.size for agent in agents):
        raise ProtocolError("all observations are empty; give every agent at least one number")
    without = [agent.name for agent in agents if not agent.state]
    if 0 < len(without) < len(agents):
        raise ProtocolError(
            f'infos have a "state" for some agents, and none for {name_list(without)}; give all '
            "one, or none"
        )
    state_space = as_state_space(env) if global_state else None
    return Layout(agents, state_space, _time_limit(env), _statistics(env))


def _time_limit(env: ParallelEnv) -> int | None:
    for name in TIME_LIMITS:
        limit = getattr(env.unwrapped, name, None)
        if isinstance(limit, bool):
            continue
        if isinstance(limit, int | np.integer) and limit > 0:
            return int(limit)
    return None


def _statistics(env: ParallelEnv) -> tuple[str, ...]:
    """Names of the environment's own statistics."""
    if not hasattr(env, "episode_statistics"):
        return ()
    found = env.episode_statistics()
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise ProtocolError(
            f"episode_statistics() returned {described(found)}, need a dict of names and numbers"
        )
    taken = [name for name in OWN_STATISTICS if name in found]
    if taken:
        raise ProtocolError(
            f"episode_statistics() has {name_list(taken)}, which every environment has; rename it"
        )
    for name, value in found.items():
        number(value, "statistic", name)
    return tuple(found)


def _agent(env: ParallelEnv, name: str, info: Values, acting: Acting, entities: int) -> Agent:
    space = space_of(env, "observation", name)
    mask_in = "info" if "action_mask" in info else ""
    nested = False
    if isinstance(space, spaces.Dict) and "action_mask" in space.spaces:
        mask_in = "observation"
        space, nested = _without_mask(space, name)
    if mask_in and acting.continuous:
        raise ProtocolError(
            f"{name} has an action_mask, and actions {acting.space!s:.100}: leave it out"
        )
    space = padded(space, entities)
    if not space.is_np_flattenable:
        raise ProtocolError(f"{name} observes {space!s:.100}, which does not flatten into numbers")
    state = numbers(info["state"], "state", name) if "state" in info else np.zeros(0)
    return Agent(
        name=name,
        space=space,
        size=flatdim(space),
        vector=space.shape if isinstance(space, spaces.Box) and len(space.shape) == 1 else None,
        state=state.size,
        state_shape=state.shape,
        acting=acting,
        mask_in=mask_in,
        nested=nested,
    )


def _without_mask(space: spaces.Dict, name: str) -> tuple[spaces.Space, bool]:
    """The observation's own space, and whether it is a part called "observation"."""
    rest = {key: part for key, part in space.spaces.items() if key != "action_mask"}
    if not rest:
        raise ProtocolError(f"{name} observes its action_mask and nothing else")
    if rest.keys() == {"observation"}:
        return rest["observation"], True
    return spaces.Dict(rest), False
