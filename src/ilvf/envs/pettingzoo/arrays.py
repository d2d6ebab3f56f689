"""Numpy arrays that hold the observations, masks, states and flags of several copies.

Imports no torch.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.spaces.utils import flatten

from ilvf.envs.pettingzoo.layout import Agent, Layout, first_line

Arrays = dict[str, np.ndarray]  # one row per copy; see `allocate`


class ProtocolError(Exception):
    """An environment returned something that breaks PettingZoo's rules or its own spaces.

    The message is the rest of a sentence that begins with the environment's name.
    """


def allocate(layout: Layout, copies: int, global_state: bool) -> Arrays:
    """Arrays for K copies of an environment with N agents.

    | array | shape | |
    |---|---|---|
    | `observation` | `[K, N, Do]` float32 | padded with zeros |
    | `state` | `[K, N, D]` float32 | padded with zeros; only if infos have states |
    | `action_mask` | `[K, N, A]` bool | only if `layout.masked`; all True for dead agents |
    | `alive` | `[K, N]` bool | |
    | `reward` | `[K, N]` float32 | |
    | `terminated`, `truncated` | `[K]` bool | of the team |
    | `global_state` | `[K, G]` float32 | only if `global_state` |
    | `statistics` | `[K, S]` float32 | only if environments have `episode_statistics()` |
    """
    n, observation, state, actions = layout.sizes()
    arrays: Arrays = {
        "observation": np.zeros((copies, n, observation), np.float32),
        "alive": np.ones((copies, n), bool),
        "reward": np.zeros((copies, n), np.float32),
        "terminated": np.zeros(copies, bool),
        "truncated": np.zeros(copies, bool),
    }
    if layout.has_state:
        arrays["state"] = np.zeros((copies, n, state), np.float32)
    if layout.masked:
        arrays["action_mask"] = np.zeros((copies, n, actions), bool)
        for i, agent in enumerate(layout.agents):
            arrays["action_mask"][:, i, : agent.actions] = True
    if global_state:
        arrays["global_state"] = np.zeros((copies, layout.global_state), np.float32)
    if layout.statistics:
        arrays["statistics"] = np.zeros((copies, len(layout.statistics)), np.float32)
    return arrays


def write_agent(
    arrays: Arrays,
    place: tuple[int, int],
    agent: Agent,
    observations: Mapping[str, Any],
    infos: Mapping[str, Any],
) -> None:
    """Write observation, state and action mask of one agent.

    Args:
        arrays: where to write.
        place: row of the copy, index of the agent.
        agent: its sizes.
        observations: of all agents, by name.
        infos: of all agents, by name.

    Raises:
        ProtocolError: something is missing or has another size than the space.
    """
    k, i = place
    name = agent.name
    try:
        observation = observations[name]
        if agent.mask_in:
            holder = observation if agent.mask_in == "observation" else infos[name]
            arrays["action_mask"][k, i, : agent.actions] = holder["action_mask"]
        if agent.state:
            arrays["state"][k, i, : agent.state] = np.ravel(infos[name]["state"])
        if agent.mask_in == "observation":
            observation = observation["observation"]
    except KeyError as error:
        raise ProtocolError(f"gave no {error} among observations and infos of {name}") from error
    except ValueError as error:
        raise ProtocolError(
            f"gave {name} a state or action mask of another size ({first_line(error)})"
        ) from error
    is_box = type(agent.space) is spaces.Box
    flat = np.ravel(observation) if is_box else flatten(agent.space, observation)
    if len(flat) != agent.size:
        shape = np.shape(observation)
        raise ProtocolError(
            f"gave {name} an observation of shape {shape} instead of one in {agent.space}"
        )
    arrays["observation"][k, i, : agent.size] = flat


def clear_agent(arrays: Arrays, place: tuple[int, int], agent: Agent) -> None:
    """Write a dead agent: observation and state are 0, and all its actions are allowed."""
    k, i = place
    arrays["observation"][k, i] = 0
    if "state" in arrays:
        arrays["state"][k, i] = 0
    if "action_mask" in arrays:
        arrays["action_mask"][k, i, : agent.actions] = True
