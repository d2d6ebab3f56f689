"""Numpy arrays that hold the observations, masks, states and flags of several copies.

Imports no torch.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ilvf.envs.pettingzoo.faults import ProtocolError, described
from ilvf.envs.pettingzoo.layout import Agent, Layout
from ilvf.envs.pettingzoo.results import Values, info_of
from ilvf.envs.pettingzoo.values import NUMBERS, action_mask, flat, shaped

MISSING = object()  # there is no entry
Arrays = dict[str, np.ndarray]  # one row per copy; see `allocate`


def allocate(layout: Layout, copies: int) -> Arrays:
    """Arrays for K copies of an environment with N agents.

    | array | shape | |
    |---|---|---|
    | `observation` | `[K, N, Do]` float32 | padded with zeros |
    | `state` | `[K, N, D]` float32 | padded with zeros; only if infos have states |
    | `action_mask` | `[K, N, A]` bool | only if `layout.masked`; all True for dead agents |
    | `alive` | `[K, N]` bool | |
    | `bootstrap` | `[K, N]` bool | the value of the last observation counts |
    | `reward` | `[K, N]` float32 | |
    | `terminated`, `truncated` | `[K]` bool | of the team |
    | `global_state` | `[K, G]` float32 | only if the layout has one |
    | `statistics` | `[K, S]` float32 | only if environments have `episode_statistics()` |
    """
    n, observation, state, actions = layout.sizes()
    arrays: Arrays = {
        "observation": np.zeros((copies, n, observation), np.float32),
        "alive": np.ones((copies, n), bool),
        "bootstrap": np.ones((copies, n), bool),
        "reward": np.zeros((copies, n), np.float32),
        "terminated": np.zeros(copies, bool),
        "truncated": np.zeros(copies, bool),
    }
    if layout.has_state:
        arrays["state"] = np.zeros((copies, n, state), np.float32)
    if layout.masked:
        arrays["action_mask"] = np.zeros((copies, n, actions), bool)
        arrays["action_mask"][:] = layout.acting.existing
    if layout.global_state:
        arrays["global_state"] = np.zeros((copies, layout.global_state), np.float32)
    if layout.statistics:
        arrays["statistics"] = np.zeros((copies, len(layout.statistics)), np.float32)
    return arrays


def write_agent(
    arrays: Arrays, place: tuple[int, int], agent: Agent, observations: Values, infos: Values
) -> None:
    """Write observation, state and action mask of one agent.

    Args:
        arrays: where to write.
        place: row of the copy, index of the agent.
        agent: its sizes.
        observations: of all agents, by name.
        infos: of all agents, by name.

    Raises:
        ProtocolError: something is missing or does not fit its space.
    """
    k, i = place
    name = agent.name
    observation = observations.get(name, MISSING)
    if observation is MISSING:
        raise ProtocolError(f"there is no observation of {name}")
    info = infos.get(name)
    if type(info) is not dict:
        info = info_of(infos, name)
    if info:
        _require_announced(agent, info)
    if agent.mask_in:
        holder = observation if agent.mask_in == "observation" else info
        mask = _entry(holder, "action_mask", agent.mask_in, name)
        possible = action_mask(mask, agent.acting.counts, name)
        arrays["action_mask"][k, i, agent.acting.columns] = possible
    if agent.mask_in == "observation":
        observation = _without_mask(observation, agent)
    if agent.state:
        state = _entry(info, "state", "info", name)
        arrays["state"][k, i, : agent.state] = shaped(state, agent.state_shape, "state", name)
    if not _is_plain(observation, agent):
        observation = flat(agent.space, observation, "observation", name)
    arrays["observation"][k, i, : agent.size] = observation


def clear_agent(arrays: Arrays, place: tuple[int, int], agent: Agent) -> None:
    """Write a dead agent: observation and state are 0, and all its actions are allowed."""
    k, i = place
    arrays["observation"][k, i] = 0
    if "state" in arrays:
        arrays["state"][k, i] = 0
    allow_all(arrays, place, agent)


def allow_all(arrays: Arrays, place: tuple[int, int], agent: Agent) -> None:
    """Allow all actions of an agent that will not act again."""
    if "action_mask" in arrays:
        k, i = place
        arrays["action_mask"][k, i, agent.acting.columns] = True


# ---------------------------------------------------------------------- parts
def _is_plain(observation: Any, agent: Agent) -> bool:
    """Whether this is a vector of a Box, which is the usual case; `flat` would not change it."""
    return (
        type(observation) is np.ndarray
        and observation.shape == agent.vector
        and observation.dtype.kind in NUMBERS
    )


def _entry(holder: Any, key: str, where: str, name: str) -> Any:
    """`holder[key]`, of an agent's observation or info."""
    if not isinstance(holder, Mapping) or key not in holder:
        found = described(holder)
        raise ProtocolError(f"there is no {key!r} in the {where} of {name}, which is {found}")
    return holder[key]


def _without_mask(observation: Mapping[str, Any], agent: Agent) -> Any:
    """The observation itself, from a dict that has an action mask too."""
    rest = {key: value for key, value in observation.items() if key != "action_mask"}
    if not agent.nested:
        return rest
    if rest.keys() != {"observation"}:
        found = described(observation)
        raise ProtocolError(
            f"the observation of {agent.name} is {found}, need 'observation' and 'action_mask'"
        )
    return rest["observation"]


def _require_announced(agent: Agent, info: Values) -> None:
    """Raise if an info has an entry that the first reset did not have."""
    late = ""
    if "state" in info and not agent.state:
        late = "state"
    elif "action_mask" in info and not agent.mask_in:
        late = "action_mask"
    if late:
        raise ProtocolError(
            f"the info of {agent.name} has {late!r}, which the first reset did not have; give it "
            "in every reset and step"
        )
