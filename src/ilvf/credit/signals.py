"""Reads per-agent signals from a rollout and checks their shapes."""

from dataclasses import asdict
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from tensordict.utils import NestedKey
from torch import Tensor, nn

from ilvf.errors import UsageError, require
from ilvf.modules.checks import need, require_truth
from ilvf.modules.critics.base import HIDDEN
from ilvf.modules.memory import CARRY
from ilvf.options.arguments import found_words

STATE_HINT = "An environment without states: critic.value_module(state_key='observation')"
MEMORY_HINT = f"critic.memory_module() in the policy writes it, and {CARRY}"
KEYS_HINT = (
    "A loss passes on all its keys: name them all, "
    "loss.set_keys(reward=('agents', 'reward'), done='done', ...)"
)


def key_tuple(key: NestedKey) -> tuple[str, ...]:
    """A nested key as a tuple."""
    return key if isinstance(key, tuple) else (key,)


def of_group(key: NestedKey, first: str, group: str) -> NestedKey:
    """The key of another group: `("agents", "advantage")` → `(group, "advantage")`.

    A key outside the group `first` stays as it is.
    """
    head, *rest = key_tuple(key)
    return (group, *rest) if rest and head == first else key


def keys_of_group(keys: Any, group: str) -> dict[str, NestedKey]:
    """Name → key of another group, of a dataclass of keys of the group "agents"."""
    return {name: of_group(key, "agents", group) for name, key in asdict(keys).items()}


def per_agent(tensordict: TensorDictBase, key: NestedKey) -> Tensor:
    """The entry at `key`, which must have the shape `[*B, T, N, 1]`."""
    value = need(tensordict, key)
    batch = tuple(tensordict.batch_size)
    found = tuple(value.shape)
    require(
        len(found) == len(batch) + 2 and found[-1] == 1,
        f"{key} has shape {found}, need {shape_text(batch, 'N', 1)}: "
        f"one number per agent, for the batch {batch}",
    )
    return value


def of_team(tensordict: TensorDictBase, key: NestedKey) -> Tensor:
    """The truth value at `key`, which must have the shape `[*B, 1]`, for the whole team."""
    value = need(tensordict, key)
    wanted = (*tensordict.batch_size, 1)
    found = tuple(value.shape)
    require(found == wanted, f"{key} has shape {found}, need {wanted}, for the whole team")
    require_truth(str(key), value)
    return value


def require_group(tensordict: TensorDictBase, group: str, reward: NestedKey) -> None:
    """Raise if the rewards are those of a group that the tensordict does not have."""
    places = (group, ("next", group))
    if key_tuple(reward)[0] != group or any(tensordict.get(k, None) is not None for k in places):
        return
    names = [name for name in list(tensordict.keys()) if name != "next"]
    groups = [name for name in names if isinstance(tensordict.get(name), TensorDictBase)]
    known = ", ".join(map(repr, groups)) or "none"
    raise UsageError(
        f"the tensordict has no group {group!r}; its groups are {known}; name one by group="
    )


def number_of_agents(tensordict: TensorDictBase, group: str, keys: list[NestedKey]) -> int:
    """N of a group, from the first of `keys` with an agent axis, or from its nested batch size."""
    batch = tensordict.ndim
    for key in keys:
        value = tensordict.get(key, None)
        if value is not None and value.ndim == batch + 2:
            return value.shape[-2]
    nested = tensordict.get(group, None)
    if isinstance(nested, TensorDictBase) and nested.ndim == batch + 1:
        return nested.shape[-1]
    shape = shape_text(tuple(tensordict.batch_size), "N", 1)
    raise UsageError(
        f"the number of agents of {group!r} cannot be determined: none of "
        f"{', '.join(map(str, keys))} has shape {shape}; use MultiAgentGAE, "
        "or give one reward per agent"
    )


def to_agents(tensordict: TensorDictBase, key: NestedKey, n: int) -> Tensor:
    """A reward or done of every agent `[*B, T, N, 1]`.

    An entry of the whole team, `[*B, T, 1]`, is expanded.
    """
    value = need(tensordict, key, KEYS_HINT)
    batch = tuple(tensordict.batch_size)
    found = tuple(value.shape)
    each = (*batch, n, 1)
    team = (*batch, 1)
    require(
        found in (each, team),
        f"{key} has shape {found}, need {each}, or {team} for the whole team",
    )
    return value if found == each else value.unsqueeze(-2).expand(each)


# ---------------------------------------------------------------------- dead agents
def alive(tensordict: TensorDictBase, key: NestedKey, n: int) -> Tensor | None:
    """bool `[*B, T, N, 1]`: False for dead or padded agents; None if there is no mask at `key`.

    A mask of the whole team, `[*B, T]` or `[*B, T, 1]`, is expanded.
    """
    mask = tensordict.get(key, None)
    if mask is None:
        return None
    batch = tuple(tensordict.batch_size)
    found = tuple(mask.shape)
    each = ((*batch, n), (*batch, n, 1))
    require(
        found in (*each, batch, (*batch, 1)),
        f"{key} has shape {found}, need {(*batch, n)}, or {batch} for the whole team: True = alive",
    )
    width = n if found in each else 1
    return mask.bool().reshape(*batch, width, 1).expand(*batch, n, 1)


def earned(reward: Tensor, living: Tensor | None) -> Tensor:
    """Rewards `[*B, N, 1]`, 0 for the dead: what they are paid is no part of a return."""
    return reward if living is None else reward.masked_fill(~living, 0)


def team_reward(tensordict: TensorDictBase, reward: NestedKey, mask: NestedKey) -> Tensor:
    """R = Σ_j r_j `[*B, T, 1]` after each step, without what agents are paid after their death."""
    each = per_agent(tensordict, ("next", *key_tuple(reward)))
    return earned(each, alive(tensordict, mask, each.shape[-2])).sum(-2)


def alive_in_groups(
    tensordict: TensorDictBase, keys: list[NestedKey], sizes: list[int]
) -> Tensor | None:
    """`alive` of several groups, concatenated over agents.

    Agents of a group without a mask are alive. None if no group has a mask.
    """
    masks = [alive(tensordict, key, n) for key, n in zip(keys, sizes, strict=True)]
    known = next((mask for mask in masks if mask is not None), None)
    if known is None:
        return None
    parts = []
    for mask, n in zip(masks, sizes, strict=True):
        parts.append(known.new_ones(*tensordict.shape, n, 1) if mask is None else mask)
    return torch.cat(parts, -2)


def zero_dead_values(tensordict: TensorDictBase, value_key: NestedKey, mask_key: NestedKey) -> None:
    """Set the values of dead agents to 0: the value is 0 after termination."""
    if tensordict.get(mask_key, None) is None:
        return
    value = per_agent(tensordict, value_key)
    living = alive(tensordict, mask_key, value.shape[-2])
    assert living is not None
    tensordict.set(value_key, value.masked_fill(~living, 0))


# ---------------------------------------------------------------------- values and time
@torch.no_grad()
def write_values(
    critic: TensorDictModuleBase,
    tensordict: TensorDictBase,
    keys: list[NestedKey],
    time: int,
    done: NestedKey | None,
) -> None:
    """Run the critic: V at `keys`, and V of the next states at ("next", key).

    Args:
        time: batch dimension of time.
        done: if given, steps follow each other along `time`: V(s_{t+1}) is then the value of the
            next row, and only the states after which an episode or the rollout ends are evaluated.
            Compiled code evaluates all next states.
    """
    for key in critic.in_keys:
        need(tensordict, key, MEMORY_HINT if key == HIDDEN else STATE_HINT)
        need(tensordict, ("next", *key_tuple(key)))
        if key == HIDDEN:
            require_written(tensordict)
    critic(tensordict)
    following = tensordict.get("next").select(*critic.in_keys)
    if done is None or torch.compiler.is_compiling():  # compiled code cannot pick states
        rows = critic(following)
        for key in keys:
            tensordict.set(("next", *key_tuple(key)), rows.get(key))
        return
    signal = need(tensordict, ("next", *key_tuple(done)))
    ends = signal.flatten(tensordict.ndim).any(-1)  # [*B, T]
    ends.select(time, -1).fill_(True)
    index = ends.nonzero(as_tuple=True)  # the only read of the device
    rows = critic(following[index])
    for key in keys:
        value = per_agent(tensordict, key).roll(-1, time)
        tensordict.set(("next", *key_tuple(key)), value.index_put(index, rows.get(key)))


def require_written(tensordict: TensorDictBase) -> None:
    """Raise if a recurrent critic has remembered nothing, because no module writes its memory.

    It reads the device, so that compiled code does not do it.
    """
    if torch.compiler.is_compiling():
        return
    require(
        bool(need(tensordict, ("next", HIDDEN)).any()),
        f"the hidden states {HIDDEN} are 0 after every step, as nothing writes them; collect with "
        "TensorDictSequential(actor, critic.memory_module())",
    )


def require_critic(critic: TensorDictModuleBase | None) -> None:
    """Raise unless the critic is a TensorDictModule that is not recurrent.

    States and next states are evaluated independently, which a recurrent critic cannot do.
    """
    if critic is None:
        return
    require(
        hasattr(critic, "out_keys") and isinstance(critic, nn.Module),
        f"critic must be a TensorDictModule, found {found_words(critic)}; pass its value_module()",
    )
    recurrent = [key for key in map(key_tuple, critic.out_keys) if key[0] == "next"]
    require(
        not recurrent,
        f"the critic is recurrent, it writes {recurrent}; leave it out and give it to "
        "inner=MultiAgentGAE(value_network=critic, shifted=True)",
    )


def time_axis(tensordict: TensorDictBase, given: int | None) -> int:
    """The batch dimension of time: the given one, the one named "time", else the last.

    A single dimension without that name is refused: the rollout may have been flattened, and
    every estimator would silently be wrong on it.
    """
    dims = tensordict.ndim
    batch = tuple(tensordict.shape)
    require(
        dims > 0,
        "ILVFAdvantage needs a rollout [*B, T], found a tensordict without batch dimensions",
    )
    if given is not None:
        require(-dims <= given < dims, f"time_dim={given} is not a dimension of the batch {batch}")
        return given % dims
    names = list(tensordict.names)
    if "time" in names:
        return names.index("time")
    require(
        dims > 1,
        f"the batch {batch} has one dimension, which is not named 'time': is it a flattened "
        "rollout? Compute advantages before reshape(-1), and under the key that the loss reads "
        "(else it computes them again); for one trajectory [T] pass time_dim=0 or name the "
        "dimension 'time'",
    )
    return dims - 1


def shape_text(batch: tuple[int, ...], *rest: object) -> str:
    """A shape with letters in it: "(4, 10, N, 1)"."""
    return f"({', '.join(map(str, (*batch, *rest)))})"
