"""What `reset` and `step` return, taken apart and checked.

Imports no torch.
"""

from collections.abc import Container, Mapping
from typing import Any

from ilvf.envs.pettingzoo.faults import ProtocolError, described, name_list
from ilvf.envs.pettingzoo.values import number

STEP = ("observations", "rewards", "terminations", "truncations", "infos")
RESET = ("observations", "infos")
Values = Mapping[str, Any]  # one entry per agent
NOTHING: Values = {}


def unpack_reset(result: Any) -> tuple[Values, Values]:
    """(observations, infos) of a reset; infos of None are empty.

    Raises:
        ProtocolError: the result is no tuple of two dicts.
    """
    observations, infos = _parts(result, "reset", RESET)
    return observations, infos


def unpack_step(result: Any) -> tuple[Values, Values, Values, Values, Values]:
    """(observations, rewards, terminations, truncations, infos); infos of None are empty.

    Raises:
        ProtocolError: the result is no tuple of five dicts.
    """
    observations, rewards, terminations, truncations, infos = _parts(result, "step", STEP)
    return observations, rewards, terminations, truncations, infos


def _parts(result: Any, method: str, names: tuple[str, ...]) -> list[Values]:
    if not isinstance(result, tuple | list) or len(result) != len(names):
        raise ProtocolError(
            f"{method} returned {described(result)}, need a tuple of {len(names)}: "
            f"({', '.join(names)})"
        )
    parts = list(result)
    if parts[-1] is None:
        parts[-1] = NOTHING
    for name, part in zip(names, parts, strict=True):
        if type(part) is not dict and not isinstance(part, Mapping):
            raise ProtocolError(
                f"{name} of {method} are {described(part)}, need a dict with an entry per agent"
            )
    return parts


def info_of(infos: Values, name: str) -> Values:
    """The info of an agent; empty if there is none."""
    info = infos.get(name)
    if info is None:
        return NOTHING
    if type(info) is not dict and not isinstance(info, Mapping):
        raise ProtocolError(f"the info of {name} is {described(info)}, need a dict")
    return info


def require_agents(values: Values, kind: str, known: Container[str]) -> None:
    """Raise if `values` have an entry for something that is no agent."""
    unknown = [name for name in values if name not in known]
    if unknown:
        raise ProtocolError(
            f"there are {kind} for {name_list(unknown)}, which possible_agents does not have"
        )


def require_no_lost_reward(rewards: Values, living: Container[str]) -> None:
    """Raise if an agent that has ended gets a reward other than 0."""
    for name, reward in rewards.items():
        if name not in living and number(reward, "reward", name) != 0:
            raise ProtocolError(
                f"the reward of {name} is {reward!r:.80}, but {name} ended in an earlier step; "
                "give it in the step in which the agent ends"
            )
