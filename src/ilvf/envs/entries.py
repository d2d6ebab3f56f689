"""Entries of an environment: a dict of tensors in place of a nested tensordict."""

from collections.abc import Mapping
from typing import Any

import torch
from tensordict import TensorDict
from tensordict.utils import NestedKey
from torch import Tensor

Entries = dict[NestedKey, Tensor]  # full key → tensor
PADDING = ("agents", "observation_mask")


def assembled(
    entries: Mapping[NestedKey, Tensor],
    batch: tuple[int, ...],
    n_agents: int,
    device: torch.device | None,
) -> TensorDict:
    """A tensordict `[*B]` of entries; what is below "agents" becomes one `[*B, N]`."""
    parts: dict[str, Any] = {}
    groups: dict[str, dict[NestedKey, Tensor]] = {"agents": {}}
    for key, value in entries.items():
        if isinstance(key, str):
            parts[key] = value
        else:
            groups.setdefault(key[0], {})[key[1:]] = value
    for name, group in groups.items():
        shape = (*batch, n_agents) if name == "agents" else batch
        parts[name] = TensorDict(group, shape, device=device)
    return TensorDict(parts, batch, device=device)
