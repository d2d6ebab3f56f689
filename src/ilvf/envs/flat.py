"""Observations of any shape, and several of them, as one row of numbers per agent."""

import functools
from typing import Any

import torch
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.data import Composite, Unbounded
from torchrl.data.tensor_specs import TensorSpec
from torchrl.envs import EnvBase
from torchrl.envs.transforms import Transform

from ilvf.envs.wrapped import SavedThrough
from ilvf.modules.entity_sets import EntitySet, Entry, found_or_error, sets_among
from ilvf.modules.images import Image, image_of_shape
from ilvf.options.arguments import require_kind, require_names

READ = ("observation", "state")  # what networks read
TEAM = 2  # axes of a batch of teams, [B, N]


def flattened(env: EnvBase, group: str = "agents") -> EnvBase:
    """The environment with flat observations and states; itself if they are flat.

    An entry `[B, N, *shape]` becomes `[B, N, D]` of torch's default dtype. One with several parts,
    `(group, "observation", name)`, becomes one row with the parts in the order of their names.
    Indices stay numbers; give one-hot parts instead.

    The attributes `observation_image` and `state_image` are the `Image` in such an entry, if there
    is exactly one; see `image_of_shape`. `observation_sets` and `state_sets` are its `EntitySet`s;
    see `sets_among`.

    Args:
        env: any TorchRL environment.
        group: name of the agents' group.

    Raises:
        UsageError: no environment, or no name of a group.
    """
    require_kind("flattened", "env", env, EnvBase, "a TorchRL environment")
    require_names("flattened", group=group)
    found = [name for name in READ if not _is_flat(env, (group, name))]
    if not found:
        return env
    made = SavedThrough(env, Flat(group, found))
    for name in found:
        spec = env.observation_spec[group, name]
        images = _images(spec)
        setattr(made, f"{name}_image", images[0] if len(images) == 1 else None)
        setattr(made, f"{name}_sets", found_or_error(functools.partial(_sets, spec, 0)))
    return made


class Flat(Transform):
    """Flattens entries of a group of agents, see `flattened`."""

    def __init__(self, group: str, names: list[str]):
        super().__init__()
        self.keys_of_entries = [(group, name) for name in names]

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        for key in self.keys_of_entries:
            value = next_tensordict.get(key, None)
            if value is not None:
                next_tensordict.set(key, row_of(value))
        return next_tensordict

    def _reset(
        self, tensordict: TensorDictBase, tensordict_reset: TensorDictBase
    ) -> TensorDictBase:
        return self._call(tensordict_reset)

    def transform_observation_spec(self, observation_spec: Composite) -> Composite:
        """The spec with flat entries."""
        for key in self.keys_of_entries:
            spec = observation_spec[key]
            width = sum(part.shape[TEAM:].numel() for part in leaves_of(spec))
            shape = (*spec.shape[:TEAM], width)
            dtype = torch.get_default_dtype()
            observation_spec[key] = Unbounded(shape, device=spec.device, dtype=dtype)
        return observation_spec


def row_of(value: Tensor | TensorDictBase) -> Tensor:
    """`[B, N, *shape]`, or several of them in the order of their names, as `[B, N, D]`."""
    rows = [part.flatten(TEAM).to(torch.get_default_dtype()) for part in leaves_of(value)]
    return rows[0] if len(rows) == 1 else torch.cat(rows, -1)


def leaves_of(value: Any) -> list[Any]:
    """A tensor or spec alone, or those inside, in the order of their names."""
    if not isinstance(value, TensorDictBase | Composite):
        if value.ndim == TEAM:
            return [value.unsqueeze(-1)]
        return [value]
    return [leaf for name in sorted(value.keys()) for leaf in leaves_of(value.get(name))]


def _is_flat(env: EnvBase, key: tuple[str, str]) -> bool:
    """Whether an entry is missing, or a row of numbers of the networks' dtype, or no team's."""
    if key not in env.observation_spec.keys(True):
        return True
    spec = env.observation_spec[key]
    if isinstance(spec, Composite):
        return not leaves_of(spec)
    is_row = len(spec.shape) == TEAM + 1 and spec.dtype == torch.get_default_dtype()
    return is_row or len(spec.shape) <= TEAM


def _images(spec: TensorSpec) -> list[Image]:
    """The images among the parts of an entry."""
    begin = 0
    found = []
    for part in leaves_of(spec):
        shape = tuple(part.shape[TEAM:])
        image = image_of_shape(shape, begin, is_bytes=part.dtype == torch.uint8)
        if image is not None:
            found.append(image)
        begin += part.shape[TEAM:].numel()
    return found


def _sets(spec: TensorSpec, begin: int) -> list[EntitySet]:
    """The sets among the parts of an entry whose first number is at `begin`."""
    if not isinstance(spec, Composite):
        return []
    found = []
    entries: dict[str, Entry] = {}
    for name in sorted(spec.keys()):
        part = spec[name]
        found += _sets(part, begin)
        shape = None if isinstance(part, Composite) else tuple(part.shape[TEAM:])
        entries[name] = (shape, begin)
        begin += sum(leaf.shape[TEAM:].numel() for leaf in leaves_of(part))
    return found + sets_among(entries)
