"""Reading per-agent signals from a rollout, whatever shapes it has, with errors that say what is wrong."""

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from tensordict.utils import NestedKey
from torch import Tensor

from ilvf.errors import UsageError, require

KEYS = "A loss passes on all its keys: name them all, loss.set_keys(reward=('agents', 'reward'), done='done', ...)"


def key_tuple(key: NestedKey) -> tuple[str, ...]:
    return key if isinstance(key, tuple) else (key,)


def of_group(key: NestedKey, first: str, group: str) -> NestedKey:
    """The key of another group: `("agents", "advantage")` → `(group, "advantage")`; a key of no group stays."""
    head, *rest = key_tuple(key)
    return (group, *rest) if rest and head == first else key


def need(tensordict: TensorDictBase, key: NestedKey, hint: str = "") -> Tensor:
    """The entry, or a sentence that lists what there is and, if it can, says what to do."""
    value = tensordict.get(key, None)
    if value is None:
        found = sorted(map(str, tensordict.keys(True, True)))
        raise UsageError(
            f"the key {key} is needed; the tensordict has {', '.join(found)}{hint and '. ' + hint}"
        )
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
        f"the number of agents of {group!r} is not to be seen: none of {', '.join(map(str, keys))} has shape "
        f"{_shown(tuple(tensordict.batch_size), 'N', 1)}; use MultiAgentGAE, or give one reward per agent"
    )


def to_agents(tensordict: TensorDictBase, key: NestedKey, n: int) -> Tensor:
    """A reward or done of every agent `[*B, T, N, 1]`; one of the whole team, `[*B, T, 1]`, is expanded."""
    value, batch = need(tensordict, key, KEYS), tuple(tensordict.batch_size)
    found, own, team = tuple(value.shape), (*batch, n, 1), (*batch, 1)
    require(
        found in (own, team), f"{key} has shape {found}, need {own}, or {team} for the whole team"
    )
    return value if found == own else value.unsqueeze(-2).expand(own)


def alive(tensordict: TensorDictBase, key: NestedKey, n: int) -> Tensor | None:
    """bool `[*B, T, N, 1]`, False for agents that are dead or padding; None if the environment has no such mask."""
    mask = tensordict.get(key, None)
    if mask is None:
        return None
    batch, found = tuple(tensordict.batch_size), tuple(mask.shape)
    require(
        found in ((*batch, n), (*batch, n, 1)),
        f"{key} has shape {found}, need {(*batch, n)}: True = alive",
    )
    return mask.bool().reshape(*batch, n, 1)


def bury(tensordict: TensorDictBase, value_key: NestedKey, mask_key: NestedKey) -> None:
    """Set the values of dead agents to 0: nothing will come to them any more."""
    if tensordict.get(mask_key, None) is not None:
        value = per_agent(tensordict, value_key)
        living = alive(tensordict, mask_key, value.shape[-2])
        assert living is not None
        tensordict.set(value_key, value.masked_fill(~living, 0))


def all_alive(tensordict: TensorDictBase, keys: list[NestedKey], sizes: list[int]) -> Tensor | None:
    """`alive` of several groups, side by side; a group without a mask lives. None if there is no mask at all."""
    masks = [alive(tensordict, key, n) for key, n in zip(keys, sizes, strict=True)]
    known = next((m for m in masks if m is not None), None)
    if known is None:
        return None
    ones = [known.new_ones(*tensordict.shape, n, 1) for n in sizes]
    return torch.cat([one if m is None else m for m, one in zip(masks, ones, strict=True)], -2)


@torch.no_grad()
def write_values(
    critic: TensorDictModuleBase,
    tensordict: TensorDictBase,
    keys: list[NestedKey],
    time: int,
    done: NestedKey | None,
) -> None:
    """Run the critic: V under `keys`, and V of the next states under ("next", key).

    With `done`, steps follow each other along `time`: V(s_{t+1}) is that of the next row, and only the states after
    which an episode or the rollout ends are evaluated.
    """
    for key in critic.in_keys:
        need(
            tensordict,
            key,
            "An environment without states: critic.value_module(state_key='observation')",
        )
        need(tensordict, ("next", *key_tuple(key)))
    critic(tensordict)
    following, ends = tensordict.get("next").select(*critic.in_keys), None
    if done is not None:
        ends = (
            need(tensordict, ("next", *key_tuple(done))).flatten(tensordict.ndim).any(-1)
        )  # [*B, T]
        ends.select(time, -1).fill_(True)
    rows = critic(following if ends is None else following[ends])
    for key in keys:
        value = rows.get(key)
        if ends is not None:
            value = per_agent(tensordict, key).roll(-1, time).index_put((ends,), value)
        tensordict.set(("next", *key_tuple(key)), value)


def require_critic(critic: TensorDictModuleBase | None) -> None:
    """A TensorDictModule that is not recurrent: states and next states are evaluated apart from each other."""
    if critic is None:
        return
    require(
        hasattr(critic, "out_keys"),
        f"critic must be a TensorDictModule, found {type(critic).__name__}; pass its value_module()",
    )
    recurrent = [k for k in map(key_tuple, critic.out_keys) if k[0] == "next"]
    require(
        not recurrent,
        f"the critic is recurrent, it writes {recurrent}; leave it out and give it to "
        "inner=MultiAgentGAE(value_network=critic, shifted=True)",
    )


def require_graph(influence: Tensor | None) -> None:
    """A finite square matrix."""
    if influence is None:
        return
    require(
        isinstance(influence, Tensor),
        f"influence must be a tensor [N, N], found {type(influence).__name__}",
    )
    found = tuple(influence.shape)
    require(
        len(found) == 2 and found[0] == found[1],
        f"influence must be a square [N, N] tensor, found {found}",
    )
    require(bool(torch.isfinite(influence).all()), "influence has entries that are not finite")


def time_axis(tensordict: TensorDictBase, given: int | None) -> int:
    """Which batch dimension is time: the given one, the one named "time", else the last.

    A single dimension without that name is refused: it may be a rollout that has been flattened, on which every
    estimator is silently wrong.
    """
    dims = tensordict.ndim
    require(
        dims > 0,
        "ILVFAdvantage needs a rollout [*B, T], found a tensordict without batch dimensions",
    )
    if given is not None:
        require(
            -dims <= given < dims,
            f"time_dim={given} is not a dimension of the batch {tuple(tensordict.shape)}",
        )
        return given % dims
    names = list(tensordict.names)
    if "time" in names:
        return names.index("time")
    require(
        dims > 1,
        f"the batch {tuple(tensordict.shape)} has one dimension, which is not named 'time': is it a flattened rollout? "
        "Compute advantages before reshape(-1), and under the key that the loss reads (else it computes them again); "
        "for one trajectory [T] pass time_dim=0 or name the dimension 'time'",
    )
    return dims - 1


def _shown(batch: tuple[int, ...], *rest: object) -> str:
    return f"({', '.join(map(str, (*batch, *rest)))})"
