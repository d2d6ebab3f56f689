"""Actions from what describes them: the arguments that a checkpoint keeps, or a TorchRL spec."""

from collections.abc import Mapping
from typing import Any

import torch
from torchrl.data import Binary, Bounded, Categorical, MultiCategorical
from torchrl.data.tensor_specs import TensorSpec
from torchrl.envs import EnvBase

from ilvf.errors import require
from ilvf.modules.actions.base import Actions
from ilvf.modules.actions.box import Box
from ilvf.modules.actions.choices import Choices
from ilvf.modules.actions.multi import MultiChoices
from ilvf.options.arguments import require_kind, require_names


def actions_of_arguments(arguments: Mapping[str, Any]) -> tuple[Actions | None, dict[str, Any]]:
    """The actions that a checkpoint keeps as plain values, and the arguments without them.

    Args:
        arguments: of an actor, with those of its actions (`Actions.arguments`) among them.

    Returns:
        A `Box` or `MultiChoices`, or None if the actions are given by their number.
    """
    rest = dict(arguments)
    if "low" in rest:
        return Box(rest.pop("low"), rest.pop("high", None)), rest
    if "counts" in rest:
        return MultiChoices(rest.pop("counts")), rest
    return None, rest


def actions_of(env: EnvBase, group: str = "agents") -> Actions:
    """The actions of an environment's agents.

    Raises:
        UsageError: no environment, no such group, or see `actions_of_spec`.
    """
    require_kind("actions_of", "env", env, EnvBase, "a TorchRL environment")
    require_names("actions_of", group=group)
    key = (group, "action")
    known = env.full_action_spec.keys(True, True)
    require(key in known, f"the environment has no actions {key}; it has {list(known)}")
    return actions_of_spec(env.full_action_spec[key], group)


def actions_of_spec(spec: TensorSpec, group: str = "agents") -> Actions:
    """The actions that a TorchRL spec describes.

    Args:
        spec: `Categorical` `[B, N]`, `MultiCategorical` or `Binary` `[B, N, D]`, or `Bounded`
            `[B, N, A]`.
        group: name of the agents' group, for messages.

    Raises:
        UsageError: another spec or shape, bounds that are not finite, or bounds or choices that
            differ between the environments of the batch.
    """
    key = (group, "action")
    shape = tuple(spec.shape)
    several = isinstance(spec, MultiCategorical | Binary) and len(shape) == 3
    if several:
        return _multi_choices(spec, key)
    if isinstance(spec, Categorical):
        require(
            len(shape) == 2, f"{key} has shape {shape}, need (num_envs, N): one index per agent"
        )
        return Choices(int(spec.space.n))
    require(
        isinstance(spec, Bounded) and spec.dtype == torch.get_default_dtype(),
        f"{key} is {type(spec).__name__} of {spec.dtype}, need Categorical: indices of discrete "
        "actions, int64; MultiCategorical: several indices; or Bounded: continuous actions between "
        f"finite bounds, {torch.get_default_dtype()}",
    )
    require(len(shape) == 3, f"{key} has shape {shape}, need (num_envs, N, A): A numbers per agent")
    low, high = spec.space.low, spec.space.high
    same = bool((low == low[:1]).all() and (high == high[:1]).all())
    require(same, f"{key} has other bounds in some environments of the batch; need the same in all")
    return Box(low[0].cpu(), high[0].cpu())


def _multi_choices(spec: MultiCategorical | Binary, key: tuple[str, str]) -> MultiChoices:
    """The choices of a spec `[B, N, D]`."""
    require(
        spec.dtype == torch.int64,
        f"{key} is {type(spec).__name__} of {spec.dtype}, need int64: indices of choices",
    )
    if isinstance(spec, Binary):
        return MultiChoices(torch.full(spec.shape[1:], 2))
    counts = spec.nvec
    same = bool((counts == counts[:1]).all())
    require(same, f"{key} has other choices in some environments of the batch; need the same")
    return MultiChoices(counts[0].cpu())
