"""Reading per-agent signals from a rollout, whatever shapes it has, with errors that say what is wrong."""

from tensordict import TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor

from ilvf.errors import UsageError, require


def key_tuple(key: NestedKey) -> tuple[str, ...]:
    return key if isinstance(key, tuple) else (key,)


def of_group(key: NestedKey, first: str, group: str) -> NestedKey:
    """The key of another group: `("agents", "advantage")` → `(group, "advantage")`; a key of no group stays."""
    head, *rest = key_tuple(key)
    return (group, *rest) if rest and head == first else key


def need(tensordict: TensorDictBase, key: NestedKey) -> Tensor:
    """The entry, or a sentence that lists what there is."""
    value = tensordict.get(key, None)
    if value is None:
        found = sorted(map(str, tensordict.keys(True, True)))
        raise UsageError(f"the key {key} is needed; the tensordict has {', '.join(found)}")
    return value


def per_agent(tensordict: TensorDictBase, key: NestedKey) -> Tensor:
    """A `[*B, T, N, 1]` entry, or a sentence that says which axis is missing."""
    value, batch = need(tensordict, key), tuple(tensordict.batch_size)
    found = tuple(value.shape)
    require(
        len(found) == len(batch) + 2 and found[-1] == 1,
        f"{key} has shape {found}, need {_shown(batch, 'N', 1)}: one number per agent, for the batch {batch}",
    )
    return value


def number_of_agents(tensordict: TensorDictBase, group: str, keys: list[NestedKey]) -> int:
    """N of a group, from the first of `keys` that has an agent axis, or from the batch size of its tensordict."""
    batch = tensordict.ndim
    for key in keys:
        value = tensordict.get(key, None)
        if value is not None and value.ndim == batch + 2:
            return value.shape[-2]
    nested = tensordict.get(group, None)
    if isinstance(nested, TensorDictBase) and nested.ndim == batch + 1:
        return nested.shape[-1]
    raise UsageError(
        f"the number of agents of {group!r} is not to be seen: none of {', '.join(map(str, keys))} has an agent axis"
    )


def to_agents(tensordict: TensorDictBase, key: NestedKey, n: int) -> Tensor:
    """A reward or done of every agent `[*B, T, N, 1]`; one of the whole team, `[*B, T, 1]`, is expanded."""
    value, batch = need(tensordict, key), tuple(tensordict.batch_size)
    found, own, team = tuple(value.shape), (*batch, n, 1), (*batch, 1)
    require(found in (own, team), f"{key} has shape {found}, need {own}, or {team} for the whole team")
    return value if found == own else value.unsqueeze(-2).expand(own)


def alive(tensordict: TensorDictBase, key: NestedKey, n: int) -> Tensor | None:
    """bool `[*B, T, N, 1]`, False for agents that are dead or padding; None if the environment has no such mask."""
    mask = tensordict.get(key, None)
    if mask is None:
        return None
    batch, found = tuple(tensordict.batch_size), tuple(mask.shape)
    require(found in ((*batch, n), (*batch, n, 1)), f"{key} has shape {found}, need {(*batch, n)}: True = alive")
    return mask.bool().reshape(*batch, n, 1)


def time_axis(tensordict: TensorDictBase, given: int | None) -> int:
    """Which batch dimension is time: the given one, the one named "time", else the last.

    A single dimension without that name is refused: it may be a rollout that has been flattened, on which every
    estimator is silently wrong.
    """
    dims = tensordict.ndim
    require(dims > 0, "ILVFAdvantage needs a rollout [*B, T], found a tensordict without batch dimensions")
    if given is not None:
        require(-dims <= given < dims, f"time_dim={given} is not a dimension of the batch {tuple(tensordict.shape)}")
        return given % dims
    names = list(tensordict.names)
    if "time" in names:
        return names.index("time")
    require(
        dims > 1,
        f"the batch {tuple(tensordict.shape)} has one dimension, which is not named 'time': is it a flattened rollout? "
        "Compute advantages before reshape(-1); for one trajectory [T] pass time_dim=0 or name the dimension 'time'",
    )
    return dims - 1


def _shown(batch: tuple[int, ...], *rest: object) -> str:
    return f"({', '.join(map(str, (*batch, *rest)))})"
