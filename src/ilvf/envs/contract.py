"""Violations of the contract for environments in docs/guides/your_own_env.md, one sentence each."""

from collections.abc import Iterator, Mapping

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey
from torchrl.envs import EnvBase

from ilvf.envs.wrapped import saves_states
from ilvf.errors import UsageError
from ilvf.modules.actions import Actions, actions_of, actions_of_spec

FLATTEN = "ilvf.envs.flat.flattened(env)"


def batch_problems(env: EnvBase) -> Iterator[str]:
    """Is the environment a batch of at least one?"""
    if len(env.batch_size) != 1:
        yield (
            f"batch_size is {tuple(env.batch_size)}, need (num_envs,): several environments "
            "side by side, for example by torchrl.envs.SerialEnv(num_envs, make_one)"
        )
    elif not env.batch_size[0]:
        yield "batch_size is (0,), need at least one environment"


def spec_problems(env: EnvBase, group: str) -> Iterator[str]:
    """Do the specs have the keys of the contract, and actions that actors can take?"""
    yield from _action_problems(env, (group, "action"))
    reward = (group, "reward")
    if reward not in env.reward_keys:
        yield (
            f"the reward is {_listed(env.reward_keys)}, need {reward}: "
            "one per agent, whose sum is the team's"
        )
    for key in ("done", "terminated"):
        if key not in env.done_keys:
            yield (
                f"{key!r} is missing at the root, need (num_envs, 1) bool: "
                "the end of the whole team's episode"
            )
    observation = (group, "observation")
    if observation not in env.observation_keys:
        keys = env.observation_keys
        parts = [key for key in keys if isinstance(key, tuple) and key[:2] == observation]
        advice = f"; {FLATTEN} joins its parts" if parts else ""
        yield f"{observation} is missing; the observations are {_listed(keys)}{advice}"


def _action_problems(env: EnvBase, action: tuple[str, str]) -> Iterator[str]:
    if action not in env.action_keys:
        yield (
            f"the action is {_listed(env.action_keys)}, need {action}: "
            f"all agents in one group called {action[0]!r}"
        )
        return
    try:
        actions_of_spec(env.full_action_spec[action], action[0])
    except UsageError as error:
        yield str(error)


def missing_problems(td: TensorDictBase, group: str) -> Iterator[str]:
    """Does a rollout have what the specs promise?"""
    for key in (
        (group, "observation"),
        (group, "action"),
        ("next", group, "observation"),
        ("next", group, "reward"),
        ("next", "done"),
        ("next", "terminated"),
    ):
        if td.get(key, None) is None:
            yield f"{key} is missing in a rollout, although the specs have it"


def shape_problems(env: EnvBase, td: TensorDictBase, group: str) -> Iterator[str]:
    """Do the entries of a rollout `[B, T]` have the shapes of the contract?"""
    batch = tuple(td.batch_size)
    actions = actions_of(env, group)
    n = env.full_action_spec[group, "action"].shape[1]
    need: dict[NestedKey, tuple[object, ...]] = {  # words stand for any size
        (group, "observation"): (*batch, n, "Do"),
        (group, "state"): (*batch, n, "D"),
        (group, "action"): (*batch, n, *actions.event),
        (group, "action_mask"): (*batch, n, actions.width),
        ("next", group, "reward"): (*batch, n, 1),
        ("next", "done"): (*batch, 1),
        ("next", "terminated"): (*batch, 1),
    }
    for key, shape in need.items():
        value = td.get(key, None)
        if value is not None and not _fits(tuple(value.shape), shape):
            found = tuple(value.shape)
            wanted = f"({', '.join(map(str, shape))})"
            image = key in number_keys(group) and len(value.shape) > len(shape)
            advice = f"; {FLATTEN} makes it so" if image else ""
            yield f"{key} has shape {found} in a rollout of {batch}, need {wanted}{advice}"


def number_problems(td: TensorDictBase, group: str, actions: Actions) -> Iterator[str]:
    """Are the numbers of a rollout finite and of the dtype of the networks, and masks bool?"""
    need = torch.get_default_dtype()
    for key in (*number_keys(group), ("next", group, "reward")):
        value = td.get(key, None)
        if value is None:
            continue
        if value.dtype != need:
            yield f"{key} is {value.dtype}, need {need}, the dtype of the networks"
        elif not torch.isfinite(value).all():
            yield f"{key} has entries that are NaN or infinite"
    mask = td.get((group, "action_mask"), None)
    if mask is None:
        return
    if mask.dtype != torch.bool:
        yield f"{(group, 'action_mask')} is {mask.dtype}, need torch.bool: True = allowed"
    elif mask.shape[-1] == actions.width and not actions.possible(mask).all():
        yield f"{(group, 'action_mask')} allows an agent nothing, need at least one action"


def flag_problems(td: TensorDictBase) -> Iterator[str]:
    """Is an episode done where it is terminated or truncated, and nowhere else?"""
    flags = [td.get(("next", name), None) for name in ("terminated", "truncated")]
    ended = [flag for flag in flags if flag is not None]
    done = td["next", "done"]
    alike = all(flag.shape == done.shape and flag.dtype == done.dtype for flag in ended)
    if alike and not torch.equal(done, torch.stack(ended).any(0)):
        yield (
            "('next', 'done') is another flag than terminated or truncated; an episode ends where "
            "one of them is True"
        )


def number_keys(group: str) -> tuple[NestedKey, ...]:
    """Keys of the numbers that networks read in a rollout."""
    names = ("observation", "state")
    now = [(group, name) for name in names]
    later = [("next", group, name) for name in names]
    return (*now, *later)


def saved_state_problems(env: EnvBase, group: str) -> Iterator[str]:
    """Does `set_state(get_state())` restore the environment, if it has these methods?"""
    if not saves_states(env):
        return
    before = env.reset().get((group, "observation")).clone()
    state = env.get_state()
    if not isinstance(state, Mapping):
        yield f"get_state gives a {type(state).__name__}, need a dict of tensors (num_envs, ...)"
        return
    wrong = [name for name, x in state.items() if name != "rng" and not _is_batch(x, env)]
    if wrong or "rng" not in state:
        yield (
            f"get_state gives {sorted(state)}, need tensors (num_envs, ...), "
            "and the generator's state as 'rng'"
        )
        return
    env.reset()
    env.set_state(state)
    if not torch.equal(env.reset().get((group, "observation")), before):
        yield "set_state(get_state()) and reset() do not lead back to the same observations"


def partial_reset_problems(env: EnvBase) -> Iterator[str]:
    """Does a reset of one environment leave the others alone, as far as saved states show it?"""
    if env.batch_size[0] == 1 or not saves_states(env):
        return
    start = env.reset()
    before = {name: x.clone() for name, x in env.get_state().items() if name != "rng"}
    first = torch.zeros(*env.batch_size, 1, dtype=torch.bool, device=env.device)
    first[0] = True
    env.reset(start.set("_reset", first))
    after = env.get_state()
    changed = [name for name, x in before.items() if not torch.equal(x[1:], after[name][1:])]
    if changed:
        yield (
            f"a reset of environment 0 alone changes {', '.join(changed)} of others; _reset(td) "
            "must begin anew only those in td['_reset']"
        )


# ---------------------------------------------------------------------- helpers
def _is_batch(value: object, env: EnvBase) -> bool:
    """Does the first axis have the environment's batch size?"""
    shape = tuple(getattr(value, "shape", ()))
    return shape[:1] == tuple(env.batch_size)


def _fits(found: tuple[int, ...], need: tuple[object, ...]) -> bool:
    """Is every axis as needed? Words in `need` stand for any size."""
    if len(found) != len(need):
        return False
    return all(isinstance(n, str) or f == n for f, n in zip(found, need, strict=True))


def _listed(keys: list[NestedKey]) -> str:
    return ", ".join(map(str, keys)) or "nowhere"
