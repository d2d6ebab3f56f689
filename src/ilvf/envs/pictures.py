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
    done = frames["next", "done"].flatten()
    end = int(done.int().argmax()) + 1 if done.any() else len(done)
    return torch.cat([frames[key][:end], frames["next"][key][end - 1 : end]])
