"""Shared by the pictures of environments."""

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor


def first_episode(frames: TensorDictBase, key: NestedKey) -> Tensor:
    """An entry of the first episode in a rollout, including the one after its last step.

    Args:
        frames: a rollout `[T]`, or a snapshot `[1]` without `next`.
        key: of the entry.

    Returns:
        `[T_1 + 1, ...]` for an episode of T_1 steps; `[1, ...]` for a snapshot.
    """
    if not isinstance(frames.get("next", None), TensorDictBase):
        return frames[key]
    end = first_end(frames["next", "done"])
    return torch.cat([frames[key][:end], frames["next"][key][end - 1 : end]])


def first_end(done: Tensor) -> int:
    """The number of steps of the first episode, from the flags `[T, 1]` of its steps' ends."""
    flags = done.flatten()
    return int(flags.int().argmax()) + 1 if flags.any() else len(flags)
