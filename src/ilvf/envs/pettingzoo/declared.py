"""The agents and spaces that an environment declares, by methods or dicts.

Imports no torch.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal

from gymnasium import spaces
from gymnasium.spaces.utils import flatdim
from pettingzoo import ParallelEnv

from ilvf.envs.pettingzoo.faults import ProtocolError, described, name_list


def agent_names(env: ParallelEnv) -> list[Any]:
    """`possible_agents`.

    Raises:
        ProtocolError: it is missing, empty or no list, or has a name twice.
    """
    found = getattr(env, "possible_agents", None)
    if not isinstance(found, list | tuple) or not found:
        raise ProtocolError(
            f"possible_agents is {described(found)}, need a list with the name of every agent"
        )
    _require_names(found, "possible_agents")
    return list(found)


def present_agents(env: ParallelEnv) -> list[Any]:
    """`agents`: those that are in the episode now; see `agent_names`."""
    found = getattr(env, "agents", None)
    if not isinstance(found, list | tuple):
        raise ProtocolError(f"agents is {described(found)}, need a list of names")
    _require_names(found, "agents")
    return list(found)


def _require_names(names: Sequence[Any], where: str) -> None:
    """Raise if a name is in a list twice, or can be no key of a dict."""
    strange = [name for name in names if not isinstance(name, Hashable)]
    if strange:
        raise ProtocolError(f"{where} has {described(strange[0])}, need names such as 'agent_0'")
    if len(set(names)) < len(names):
        repeated = {name for name in names if names.count(name) > 1}
        raise ProtocolError(f"{where} has {name_list(repeated)} twice; every name must differ")


def space_of(env: ParallelEnv, kind: Literal["observation", "action"], name: str) -> spaces.Space:
    """The space of an agent: from `KIND_space(agent)`, or from the dict `KIND_spaces`.

    Raises:
        ProtocolError: there is neither, or what is found is no space.
    """
    method = getattr(env, f"{kind}_space", None)
    inherited = getattr(type(env), f"{kind}_space", None) is getattr(ParallelEnv, f"{kind}_space")
    if callable(method) and not inherited:
        found = method(name)
    else:
        table = method if isinstance(method, Mapping) else getattr(env, f"{kind}_spaces", None)
        if not isinstance(table, Mapping):
            raise ProtocolError(
                f"it has neither the method {kind}_space(agent) nor the dict {kind}_spaces"
            )
        found = table.get(name)
    if not isinstance(found, spaces.Space):
        raise ProtocolError(
            f"the {kind} space of {name} is {described(found)}, need a space of gymnasium"
        )
    return found


def as_state_space(env: ParallelEnv) -> spaces.Space:
    """The space of `state()`, which must flatten into numbers."""
    space = getattr(env, "state_space", None)
    if not isinstance(space, spaces.Space):
        raise ProtocolError(
            f"global_state=true needs a state_space of gymnasium, found {described(space)}"
        )
    if not space.is_np_flattenable or not flatdim(space):
        raise ProtocolError(f"state_space={space!s:.100} does not flatten into numbers")
    return space
